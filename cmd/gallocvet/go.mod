module github.com/galloc-go/galloc/cmd/gallocvet

go 1.26.0

replace github.com/galloc-go/galloc => ../..

require golang.org/x/tools v0.52.0

require (
	github.com/golangci/plugin-module-register v0.1.2
	golang.org/x/sync v0.24.0 // indirect
)
