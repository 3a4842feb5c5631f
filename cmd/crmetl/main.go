// Command crmetl loads spreadsheets into CRMs and exports CRMs into files, with every row accounted for.
package main

import (
	"context"
	"os"
)

func main() {
	heap := easeGC(os.Getenv)
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, heap, os.Stdin, os.Stdout, os.Stderr))
}
