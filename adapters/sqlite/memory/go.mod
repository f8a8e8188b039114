module modernc.org/memory

go 1.26.0

require github.com/galloc-go/galloc v0.0.0

require golang.org/x/sys v0.49.0 // indirect

replace github.com/galloc-go/galloc => ../../..
