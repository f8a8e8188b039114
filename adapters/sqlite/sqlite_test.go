package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/memcheck"
	"modernc.org/memory"
	_ "modernc.org/sqlite"
)

// open returns a new database with n rows in a table.
func open(t testing.TB, n int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := fill(db, n); err != nil {
		t.Fatal(err)
	}
	return db
}

func fill(db *sql.DB, n int) error {
	_, err := db.Exec(`
		pragma synchronous = off;
		create table words (id integer primary key, word text, size integer);
		create index by_word on words (word)`)
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for i := range n {
		word := strings.Repeat(fmt.Sprintf("word %d ", i), 1+i%30)
		if _, err := tx.Exec("insert into words (word, size) values (?, ?)", word, len(word)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// query sorts the words, which takes memory, and returns the sum of the sizes.
func query(db *sql.DB, like string) (count, size int, err error) {
	rows, err := db.Query("select word, size from words where word like ? order by size desc, word", like)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var word string
		var n int
		if err := rows.Scan(&word, &n); err != nil {
			return 0, 0, err
		}
		if len(word) != n {
			return 0, 0, fmt.Errorf("%q has %d bytes, want %d", word, len(word), n)
		}
		count++
		size += n
	}
	return count, size, rows.Err()
}

// SQLite takes its memory from the global allocator, for several goroutines, and frees it.
func TestDatabase(t *testing.T) {
	checked := memcheck.Global() != nil // then freed blocks in quarantine count as live
	before, err := galloc.ReadStats()
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, 2000)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 5 {
				if n, _, err := query(db, fmt.Sprintf("word %d%%", g+1)); err != nil || n != 1111 && (g+1) == 1 || n == 0 {
					t.Errorf("%d rows (%v)", n, err)
				}
			}
		})
	}
	wg.Wait()
	during, _ := galloc.ReadStats()
	if during.Live < before.Live+100_000 && !percpu.Race { // C's malloc does not count

		t.Errorf("%d bytes are live, and were %d without a database", during.Live, before.Live)
	}
	db.Close()
	after, _ := galloc.ReadStats()
	if !checked && after.Live > before.Live+(during.Live-before.Live)/2 {
		t.Errorf("%d bytes are live after Close, %d before it, %d without a database", after.Live, during.Live, before.Live)
	}
}

func TestMemory(t *testing.T) {
	var a memory.Allocator
	r := rand.New(rand.NewPCG(1, 2))
	blocks := map[*byte][]byte{}
	check := func(b []byte, n int) {
		t.Helper()
		if i := bytes.IndexFunc(b[:n], func(c rune) bool { return byte(c) != byte(len(b)) }); i >= 0 && len(b) < 128 {
			t.Fatalf("byte %d of %d has changed", i, len(b))
		}
	}
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(len(b))
		}
		blocks[&b[0]] = b
	}
	for range 5000 {
		size := 1 + r.IntN(1<<r.IntN(17))
		b, err := a.Calloc(size)
		if err != nil || len(b) != size || cap(b) < size || len(bytes.Trim(b, "\x00")) != 0 {
			t.Fatalf("Calloc(%d): %d bytes (%v)", size, len(b), err)
		}
		if uintptr(unsafe.Pointer(&b[0]))%(2*unsafe.Sizeof(uintptr(0))) != 0 || memory.UsableSize(&b[0]) != cap(b) {
			t.Fatalf("Calloc(%d): address %p, usable size %d, capacity %d", size, &b[0], memory.UsableSize(&b[0]), cap(b))
		}
		fill(b)
		for p, old := range blocks { // one of them
			check(old, len(old))
			delete(blocks, p)
			if r.IntN(2) == 0 {
				a.Free(old)
				break
			}
			now, err := a.Realloc(old, 1+r.IntN(1<<r.IntN(17)))
			if err != nil {
				t.Fatal(err)
			}
			for i := range now[:min(len(old), len(now))] {
				if now[i] != byte(len(old)) {
					t.Fatalf("Realloc from %d to %d bytes: byte %d has changed", len(old), len(now), i)
				}
			}
			fill(now)
			break
		}
	}
	if err := a.Close(); err == nil || err.Error() != fmt.Sprintf("memory: Close: %d blocks are not freed", len(blocks)) {
		t.Errorf("Close with %d blocks: %v", len(blocks), err)
	}
	var rest memory.Allocator
	for _, b := range blocks {
		rest.Free(b)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestLimitsOfSizes(t *testing.T) {
	var a memory.Allocator
	for _, size := range []int{math.MaxInt, math.MaxInt - 16, math.MaxInt - 100} {
		if p, err := a.UintptrMalloc(size); p != 0 || !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("malloc of %d bytes: %#x, %v", size, p, err)
		}
		p, err := a.UnsafeMalloc(100)
		if err != nil {
			t.Fatal(err)
		}
		*(*byte)(p) = 7
		for _, to := range []int{size, -1} {
			if q, err := a.UnsafeRealloc(p, to); q != nil || err == nil {
				t.Errorf("realloc to %d bytes: %v, %v", to, q, err)
			}
		}
		if *(*byte)(p) != 7 || memory.UnsafeUsableSize(p) < 100 {
			t.Error("a failed realloc has changed the block")
		}
		a.UnsafeFree(p)
	}
	for _, p := range []func(int) (uintptr, error){a.UintptrMalloc, a.UintptrCalloc} {
		if p, err := p(0); p != 0 || err != nil {
			t.Errorf("size 0: %#x, %v", p, err)
		}
	}
	if p, err := a.UintptrRealloc(0, 0); p != 0 || err != nil {
		t.Errorf("realloc of 0 to size 0: %#x, %v", p, err)
	}
	if memory.UintptrUsableSize(0) != 0 || a.UintptrFree(0) != nil || a.Free(nil) != nil || a.Trim() != nil || a.Close() != nil {
		t.Error("nothing is not accepted")
	}
}

func TestMisuse(t *testing.T) {
	var a memory.Allocator
	big, _ := a.UnsafeMalloc(1 << 20) // its header stays readable until the heap purges it
	keep, _ := a.UnsafeMalloc(100)
	misuses := map[string]func(){
		"invalid malloc size": func() { a.Malloc(-1) },
		"it is no block":      func() { a.UnsafeFree(unsafe.Add(keep, 32)) },
		"freed already":       func() { a.UnsafeFree(big); a.UnsafeFree(big) },
	}
	if percpu.Race || memcheck.Global() != nil {
		delete(misuses, "freed already") // C unmaps the block, and a checker fills its header
	}
	for want, f := range misuses {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "memory: ") || !strings.Contains(got, want) {
					t.Errorf("%q does not contain %q", got, want)
				}
			}()
			f()
		}()
	}
	a.UnsafeFree(keep)
}

// child is the environment variable that makes this program fill a database and query it.
const child = "GALLOC_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	db, err := sql.Open("sqlite", ":memory:")
	if err == nil {
		db.SetMaxOpenConns(1)
		err = fill(db, 3000)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	n, _, err := query(db, "%")
	fmt.Println(n, err)
	db.Close()
}

// The settings of the global allocator hold for SQLite: its choice, limits and checks.
func TestSettings(t *testing.T) {
	if percpu.Race {
		t.Skip("the memory is C's")
	}
	for _, c := range []struct{ setting, want string }{
		{"heap", "3000 <nil>\n"},
		{"system", "3000 <nil>\n"},
		{"debug", "3000 <nil>\n"},
		{"heap,limit=1MiB", "out of memory"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"=1", "GALLOC="+c.setting)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("GALLOC=%s: %v\n%s", c.setting, err, out)
		}
	}
}

// Queries of several goroutines, with a connection each.
func BenchmarkQueries(b *testing.B) {
	db := open(b, 2000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if n, _, err := query(db, "word 1%"); err != nil || n == 0 {
				b.Errorf("%d rows (%v)", n, err)
			}
		}
	})
}

// Pairs of the allocator alone.
func BenchmarkPair(b *testing.B) {
	for _, size := range []int{16, 64, 1024, 4400, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var a memory.Allocator
			for b.Loop() {
				p, _ := a.UintptrMalloc(size)
				a.UintptrFree(p)
			}
		})
	}
}
