// Command crmetl loads spreadsheets into CRMs and exports CRMs into files, with every row accounted for.
package main

import (
	"context"
	"os"
)

func main() {
	easeGC(os.Getenv)
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
