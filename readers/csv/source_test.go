package csv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
)

func TestSource(t *testing.T) {
	var in strings.Builder
	var want [][]string
	in.WriteString("id,name,note\r\n")
	for i := range 3000 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&in, "%d,Zoë,plain text\r\n", i)
			want = append(want, []string{fmt.Sprint(i), "Zoë", "plain text"})
		case 1:
			fmt.Fprintf(&in, "%d,\"a, \"\"b\"\"\",\"two\r\nlines\"\r\n", i)
			want = append(want, []string{fmt.Sprint(i), `a, "b"`, "two\r\nlines"})
		case 2:
			fmt.Fprintf(&in, "%d,%s\r\n\r\n", i, strings.Repeat("x", 100))
			want = append(want, []string{"!", fmt.Sprint(i), strings.Repeat("x", 100)})
		case 3:
			fmt.Fprintf(&in, "%d,,\n", i)
			want = append(want, []string{fmt.Sprint(i), "", ""})
		}
	}
	text := in.String()
	open := func(s string) (pipeline.Source, error) {
		r, err := New(strings.NewReader(s), Options{Delimiter: ","})
		if err == nil {
			r.piece, r.margin = 8<<10, 1<<10
		}
		return r, err
	}
	sourcetest.Run(t, sourcetest.Suite{
		Open:    func() (pipeline.Source, error) { return open(text) },
		Columns: []string{"id", "name", "note"},
		Rows:    want,
	})
	const short = "a,b\r\n1,\"x\n\"\"y\"\r\nZoë,4\r\n"
	sourcetest.Run(t, sourcetest.Suite{
		Open: func() (pipeline.Source, error) { return open(short) },
		Rows: [][]string{{"1", "x\n\"y"}, {"Zoë", "4"}},
		Cut: &sourcetest.Cut{
			Size: len(short),
			Open: func(n int) (pipeline.Source, error) { return open(short[:n]) },
			// A line end, and any place in the last cell of a line, where the cut line still has its two cells.
			Legal: func(n int) bool { return n >= strings.IndexByte(short, ',') },
		},
	})
}
