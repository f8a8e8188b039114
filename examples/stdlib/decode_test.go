package stdlib

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

// A row off the Go heap: a String in place of a string.
type row struct {
	name   collections.String
	amount int
}

// Rows of a table in an arena. The Reader uses its one record again, so that the Go heap has one
// row at a time, and the garbage collector none.
func Example_csv() {
	arena := bump.New(nil)
	defer arena.Close() // frees rows and names
	rows := collections.NewVec[row](arena)
	r := csv.NewReader(strings.NewReader("apples,3\npears,4\nplums,5\n"))
	r.ReuseRecord = true
	for {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = addRow(arena, rows, fields)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, r := range rows.All() {
		fmt.Println(r.name, r.amount)
	}
	// Output:
	// apples 3
	// pears 4
	// plums 5
}

func addRow(a galloc.Allocator, rows *collections.Vec[row], fields []string) error {
	if len(fields) != 2 {
		return errors.New("a row has a name and an amount")
	}
	name, err := collections.NewString(a, fields[0])
	if err != nil {
		return err
	}
	amount, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	return rows.TryPush(row{name, amount})
}

// The elements of a JSON array in an arena. The Decoder reads one after the other, into one value
// of Go that is used again.
func Example_json() {
	arena := bump.New(nil)
	defer arena.Close()
	rows := collections.NewVec[row](arena)
	d := json.NewDecoder(strings.NewReader(`[{"Name":"apples","Amount":3}, {"Name":"pears","Amount":4}]`))
	if _, err := d.Token(); err != nil { // [
		fmt.Println(err)
		return
	}
	for d.More() {
		var v struct {
			Name   string
			Amount int
		}
		err := d.Decode(&v)
		var name collections.String
		if err == nil {
			name, err = collections.NewString(arena, v.Name)
		}
		if err == nil {
			err = rows.TryPush(row{name, v.Amount})
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, r := range rows.All() {
		fmt.Println(r.name, r.amount)
	}
	// Output:
	// apples 3
	// pears 4
}

// The pixels of an image in a block. The packages image/draw and image/png work on it as on any
// other; free it after the last use.
func Example_image() {
	const width, height = 1920, 1080
	pixels, err := galloc.MakeSlice[byte](nil, 4*width*height)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.FreeSlice(nil, pixels)
	picture := &image.RGBA{Pix: pixels, Stride: 4 * width, Rect: image.Rect(0, 0, width, height)}
	picture.Set(100, 200, color.RGBA{1, 2, 3, 255})
	fmt.Println(picture.Bounds(), picture.At(100, 200), picture.At(0, 0))
	// Output: (0,0)-(1920,1080) {1 2 3 255} {0 0 0 0}
}
