module example.com/presets

go 1.26.0

require (
	github.com/apache/arrow-go/v18 v18.0.0
	github.com/valyala/bytebufferpool v1.0.0
	golang.org/x/sys v0.0.0
	google.golang.org/grpc v1.0.0
)

replace (
	github.com/apache/arrow-go/v18 => ./stubs/arrow
	github.com/valyala/bytebufferpool => ./stubs/bytebufferpool
	golang.org/x/sys => ./stubs/sys
	google.golang.org/grpc => ./stubs/grpc
)
