module github.com/galloc-go/galloc/heapview/browsertest

go 1.26.0

replace github.com/galloc-go/galloc => ../..

require (
	github.com/chromedp/cdproto v0.160.1
	github.com/chromedp/chromedp v0.23.1
	github.com/galloc-go/galloc v0.0.0
)

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
