module github.com/galloc-go/galloc/bench

go 1.26.0

replace (
	github.com/galloc-go/galloc => ../
	github.com/galloc-go/galloc/cmd/galloc => ../cmd/galloc
)

require (
	github.com/apache/arrow-go/v18 v18.8.0
	github.com/galloc-go/galloc v0.0.0
	github.com/galloc-go/galloc/cmd/galloc v0.0.0
	golang.org/x/sys v0.49.0
	modernc.org/memory v1.12.1
)

require github.com/google/btree v1.1.3
