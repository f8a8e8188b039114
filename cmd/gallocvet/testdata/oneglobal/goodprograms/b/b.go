// Program b selects: it is another program than a.
package main

import _ "github.com/galloc-go/galloc/global/heap"

func main() {}
