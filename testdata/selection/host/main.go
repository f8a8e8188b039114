// A program that opens a plugin.
package main

import (
	"fmt"
	"os"
	"plugin"
)

func main() {
	defer func() {
		if v := recover(); v != nil {
			fmt.Println(v)
		}
	}()
	for _, path := range os.Args[1:] {
		p, err := plugin.Open(path)
		if err != nil {
			fmt.Println(err)
			return
		}
		f, err := p.Lookup("PrintName")
		if err != nil {
			fmt.Println(err)
			return
		}
		f.(func())()
	}
}
