package grpc_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	root "github.com/galloc-go/galloc"
	galloc "github.com/galloc-go/galloc/adapters/grpc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bufpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echo is a service that answers with what it is sent.
var echo = grpc.ServiceDesc{
	ServiceName: "galloc.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(wrapperspb.BytesValue)
			return m, decode(m)
		},
	}},
}

const maxSize = 8 << 20

// dial starts a server and connects a client to it, in memory. It returns a call of the service and
// the end of both.
func dial(t testing.TB, server []grpc.ServerOption, client []grpc.DialOption) (call func([]byte) ([]byte, error), end func()) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(append(server, grpc.MaxRecvMsgSize(maxSize))...)
	s.RegisterService(&echo, nil)
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///echo", append(client,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxSize)),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	call = func(b []byte) ([]byte, error) {
		answer := new(wrapperspb.BytesValue)
		err := conn.Invoke(context.Background(), "/galloc.Echo/Echo", wrapperspb.Bytes(b), answer)
		return answer.GetValue(), err
	}
	return call, func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.GracefulStop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// Messages of all sizes arrive as they were sent, and in the end every buffer is back.
func TestMessages(t *testing.T) {
	a := alloctest.Track(root.System)
	pool := bufpool.New(bufpool.Options{Allocator: a})
	call, end := dial(t, []grpc.ServerOption{galloc.ServerOption(pool)}, []grpc.DialOption{galloc.DialOption(pool)})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 40 {
				b := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, r.IntN(1<<r.IntN(23)))
				if got, err := call(b); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%d bytes: %d bytes, %v", len(b), len(got), err)
				}
			}
		})
	}
	wg.Wait()
	end()
	if a.Calls() == 0 {
		t.Error("the pool was not used")
	}
	pool.Trim()
	if s := pool.Stats(); s.Idle != 0 || len(a.Live()) != 0 || len(a.Misuses()) != 0 {
		t.Errorf("%+v; %d blocks are live; misuses: %v", s, len(a.Live()), a.Misuses())
	}
}

// Messages arrive whatever allocations of the pool fail.
func TestFailures(t *testing.T) {
	blocks := alloctest.Track(root.System)
	a := alloctest.Fail(blocks, alloctest.Randomly(0.5, 1))
	pool := bufpool.New(bufpool.Options{Allocator: a, MaxIdle: -1})
	call, end := dial(t, []grpc.ServerOption{galloc.ServerOption(pool)}, []grpc.DialOption{galloc.DialOption(pool)})
	r := rand.New(rand.NewPCG(1, 0))
	for range 60 {
		b := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, r.IntN(1<<r.IntN(21)))
		if got, err := call(b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes: %d bytes, %v", len(b), len(got), err)
		}
	}
	end()
	pool.Trim()
	if a.Failures() == 0 || len(blocks.Live()) != 0 || len(blocks.Misuses()) != 0 {
		t.Errorf("%d failures; %d blocks are live; misuses: %v", a.Failures(), len(blocks.Live()), blocks.Misuses())
	}
}

// What the pool did not hand out is ignored.
func TestForeignBuffers(t *testing.T) {
	a := alloctest.Track(root.System)
	p := bufpool.New(bufpool.Options{Allocator: a})
	pool := galloc.BufferPool(p)
	own := make([]byte, 5000)
	pool.Put(&own)
	pool.Put(new([]byte))
	b := pool.Get(3000)
	if len(*b) != 3000 || &(*b)[0] == &own[0] {
		t.Errorf("%d bytes", len(*b))
	}
	*b = (*b)[:10] // grpc may shorten it
	pool.Put(b)
	pool.Put(pool.Get(0))
	p.Trim()
	if len(a.Live()) != 0 || len(a.Misuses()) != 0 {
		t.Errorf("%d blocks are live; misuses: %v", len(a.Live()), a.Misuses())
	}
}

// A pair of the pool, and a call, with grpc's own pool beside it.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10, 1 << 20} {
		for _, own := range []bool{true, false} {
			var server []grpc.ServerOption
			var client []grpc.DialOption
			name := "grpc"
			if !own {
				server = append(server, galloc.ServerOption(nil))
				client = append(client, galloc.DialOption(nil))
				name = "galloc"
			}
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				call, end := dial(b, server, client)
				defer end()
				message := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := call(message); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
