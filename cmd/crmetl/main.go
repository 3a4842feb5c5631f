// Command crmetl loads spreadsheets into CRMs and exports CRMs into files, with every row accounted for.
package main

import (
	"context"
	"os"
	"runtime"
)

func main() {
	runtime.MemProfileRate = 0 // until --memprofile asks for it: who allocated what takes time to note
	heap := easeGC(os.Getenv)
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, heap, os.Stdin, os.Stdout, os.Stderr))
}
