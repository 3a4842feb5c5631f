// Package parquet writes rows as an Apache Parquet file, with columns of the types that their values have.
//
// # Types
//
// A column's type is what the caller says it holds, as long as every value fits without loss, and otherwise text: which
// of the two is known only at the end. So rows first go to a temporary file, compressed, and Commit makes row groups
// of them, in bounded memory. A column of which nothing is said gets the type that all its values have.
//
//	integer             INT64; beyond its range DECIMAL(38,0)
//	number              DOUBLE; if any has more than 15 significant digits, DECIMAL(38,scale)
//	boolean             BOOLEAN
//	date                DATE
//	datetime, epoch     TIMESTAMP in microseconds: an instant if all have a zone, local if none has
//	time                TIME in microseconds, if all are below 24 hours
//	list                LIST of strings; JSON if items are not all texts
//	json, pairs         JSON
//	all else            STRING; values are written as in CSV
//
// Every column may be null: a missing value is, and in a column that is no text an empty one.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers/internal/lines"
)

// Options say what is written.
type Options struct {
	Header *record.Header // the columns; nil: those of the first batch
	Types  []string       // what they hold, in the schema's words; "" or missing: what the values have in common
	Dir    string         // the folder of the temporary file; "" is the system's
	Warn   func(string)   // is told at Commit which columns do not have the type that was said; nil: nobody
}

// Writer gathers rows and writes them at Commit.
type Writer struct {
	lines.Sink
	o       Options
	out     io.Writer
	spool   *spool
	columns []column
	row     int64 // rows so far
}

// New starts a file. It is an error if a column has no name, or another's.
func New(out io.Writer, o Options) (*Writer, error) {
	w := &Writer{o: o, out: out, spool: &spool{dir: o.Dir}}
	w.Sink = lines.Sink{Out: w.spool, Render: w.render, Start: w.start}
	if o.Header != nil {
		if err := w.setColumns(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// maxColumns is how many columns the library can hold.
const maxColumns = 1<<15 - 1

func (w *Writer) setColumns() error {
	h := w.o.Header
	if h.Len() > maxColumns {
		return fmt.Errorf("the file would need %d columns, and %d can be held; choose fewer with --columns", h.Len(), maxColumns)
	}
	for i := range h.Len() {
		name := h.Name(i)
		if name == "" {
			return fmt.Errorf("column %s has no name, and a parquet column needs one; name it", record.ColumnName(i))
		}
		if j := h.Index(name); j != i {
			return fmt.Errorf("columns %s and %s are both named %q, and a parquet file can't hold both; rename one", record.ColumnName(j), record.ColumnName(i), name)
		}
		said := ""
		if i < len(w.o.Types) {
			said = w.o.Types[i]
		}
		w.columns = append(w.columns, column{name: name, said: said, form: formOf(said)})
	}
	return nil
}

func (w *Writer) start(b *record.Batch) error {
	if w.o.Header == nil {
		w.o.Header = record.LooseHeader(nil)
		if b != nil {
			w.o.Header = b.Header
		}
		return w.setColumns()
	}
	return nil
}

func (w *Writer) render(b *record.Batch) (lines.Append, error) {
	if b.Header == nil {
		return nil, errors.New("the batch has no header")
	}
	width := b.Header.Len()
	return func(dst []byte, row *record.Row) ([]byte, error) {
		if len(row.Values) != width {
			return dst, fmt.Errorf("the row has %d cell(s), the file %d column(s)", len(row.Values), width)
		}
		for _, v := range row.Values {
			dst = appendCell(dst, v)
		}
		return dst, nil
	}, nil
}

// Write keeps the open rows of the batch until Commit.
func (w *Writer) Write(ctx context.Context, b *record.Batch) error {
	open := make([]int, 0, len(b.Rows))
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			open = append(open, i)
		}
	}
	if w.o.Header != nil && b.Header != nil && w.o.Header.Len() != b.Header.Len() {
		return fmt.Errorf("the batch has %d column(s), the file %d", b.Header.Len(), w.o.Header.Len())
	}
	if err := w.Sink.Write(ctx, b); err != nil {
		return err
	}
	for _, i := range open {
		row := &b.Rows[i]
		w.row++
		for k, v := range row.Values {
			w.columns[k].see(v, row.Num)
		}
	}
	return nil
}

// Commit makes the file of the rows.
func (w *Writer) Commit(ctx context.Context) error {
	if err := w.Sink.Commit(ctx); err != nil {
		return err
	}
	for i := range w.columns {
		w.columns[i].settle()
	}
	if err := w.encode(ctx); err != nil {
		return err
	}
	if w.o.Warn == nil {
		return nil
	}
	for i := range w.columns {
		if c := &w.columns[i]; c.misfit != "" {
			w.o.Warn(fmt.Sprintf("column %q is text, not %s: row %d has %q", c.name, c.said, c.misfitRow, c.misfit))
		}
	}
	return nil
}

// Close removes the temporary file.
func (w *Writer) Close() error { return w.spool.close() }
