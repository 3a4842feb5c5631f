package parquet

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"github.com/crmetl/crmetl/record"
)

// A row group ends with so many rows or bytes of cells, whichever comes first: readers work on groups side by side,
// and the writer holds one in memory.
const (
	groupRows  = 128 << 10
	groupBytes = 16 << 20
	burst      = 256 // rows that are handed over at once
)

// encode writes the rows of the spool.
func (w *Writer) encode(ctx context.Context) error {
	in, err := w.spool.rewind()
	if err != nil {
		return err
	}
	out := pq.NewGenericWriter[any](w.out, w.schema(), pq.CreatedBy("crmetl", "", ""), pq.Compression(&pq.Snappy),
		pq.DictionaryMaxBytes(256<<10), pq.PageBufferSize(256<<10))
	if in != nil {
		err = w.groups(ctx, in, out)
	}
	if err != nil {
		return err
	}
	return out.Close()
}

// groups writes row group after row group.
func (w *Writer) groups(ctx context.Context, in *bufio.Reader, out *pq.GenericWriter[any]) error {
	cells, ends := make([]record.Value, len(w.columns)), make([]int, len(w.columns))
	rows := make([]pq.Row, 0, burst)
	var texts arena
	var buf []byte
	inGroup, size := 0, 0
	put := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := out.WriteRows(rows)
		rows, texts = rows[:0], texts[:0]
		return err
	}
	for range w.row {
		var err error
		if buf, err = readRow(in, buf, cells, ends); err != nil {
			return unexpected(err)
		}
		rows = rows[:len(rows)+1]
		last := &rows[len(rows)-1]
		*last = w.appendRow((*last)[:0], cells, &texts)
		inGroup++
		size += len(buf) + 8*len(cells)
		full := inGroup == groupRows || size >= groupBytes
		if len(rows) == burst || full {
			if err := put(); err != nil {
				return err
			}
		}
		if full {
			if err := out.Flush(); err != nil {
				return err
			}
			inGroup, size = 0, 0
		}
	}
	if err := put(); err != nil {
		return err
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) && len(w.columns) > 0 {
		return errors.New("temporary file: it has more rows than were written")
	}
	return nil
}

// arena is where the texts of some rows live until they are handed over.
type arena []byte

// value returns a text as bytes.
func (a *arena) value(s string) pq.Value {
	begin := len(*a)
	*a = append(*a, s...)
	return pq.ByteArrayValue((*a)[begin:len(*a):len(*a)])
}

// appendRow appends a row's values in the order of the leaves, each of which is a column's only one.
func (w *Writer) appendRow(row pq.Row, cells []record.Value, texts *arena) pq.Row {
	for i := range w.columns {
		c, v := &w.columns[i], cells[i]
		switch {
		case v.Kind() <= record.Null, c.form != text && empty(v):
			row = append(row, pq.NullValue().Level(0, 0, i))
		case c.form == list:
			items, _ := v.Items()
			if len(items) == 0 {
				row = append(row, pq.NullValue().Level(0, 1, i))
			}
			for k, s := range items {
				row = append(row, texts.value(s).Level(min(k, 1), 2, i))
			}
		default:
			row = append(row, c.value(v, texts).Level(0, 1, i))
		}
	}
	return row
}

// value returns a cell as the column holds it. That it fits is known.
func (c *column) value(v record.Value, texts *arena) pq.Value {
	s := v.Text()
	switch c.form {
	case integer:
		n, _ := strconv.ParseInt(s, 10, 64)
		return pq.Int64Value(n)
	case number:
		f, _ := strconv.ParseFloat(s, 64)
		return pq.DoubleValue(f)
	case decimal:
		return pq.FixedLenByteArrayValue(scaled(s, c.fraction))
	case boolean:
		b, _ := truth(v)
		return pq.BooleanValue(b)
	case date:
		d, _ := dayOf(s)
		return pq.Int32Value(d)
	case instant, local:
		t, _ := stampOf(s, c.form)
		return pq.Int64Value(t)
	case clock:
		t, _ := clockOf(s)
		return pq.Int64Value(t)
	case object:
		return texts.value(s)
	}
	return texts.value(strings.ToValidUTF8(v.Cell(), "\ufffd"))
}

// scaled returns a number as so many units of its last place, as 16 bytes.
func scaled(s string, places int) []byte {
	var r big.Rat
	r.SetString(s)
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	n := new(big.Int).Mul(r.Num(), unit)
	n.Quo(n, r.Denom())
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 128)) // two's complement
	}
	return n.FillBytes(make([]byte, 16))
}

// schema returns the file's schema, its columns in the order of the header.
func (w *Writer) schema() *pq.Schema {
	root := &group{}
	for i := range w.columns {
		c := &w.columns[i]
		root.fields = append(root.fields, &field{pq.Optional(c.node()), c.name})
	}
	return pq.NewSchema("record", root)
}

func (c *column) node() pq.Node {
	switch c.form {
	case integer:
		return pq.Leaf(pq.Int64Type)
	case number:
		return pq.Leaf(pq.DoubleType)
	case decimal:
		return pq.Decimal(c.fraction, maxDigits, pq.FixedLenByteArrayType(16))
	case boolean:
		return pq.Leaf(pq.BooleanType)
	case date:
		return pq.Date()
	case instant, local:
		return pq.TimestampAdjusted(pq.Microsecond, c.form == instant)
	case clock:
		return pq.TimeAdjusted(pq.Microsecond, false)
	case list:
		return pq.List(pq.String())
	case object:
		return pq.JSON()
	}
	if !c.repeats() {
		return pq.String()
	}
	return pq.Encoded(pq.String(), &pq.RLEDictionary)
}

// group is a pq.Group that keeps its fields in order, and takes any name.
type group struct {
	pq.Group
	fields []pq.Field
}

// Fields returns the columns.
func (g *group) Fields() []pq.Field { return g.fields }

// GoType is not used: rows are handed over as values.
func (g *group) GoType() reflect.Type { return reflect.TypeFor[map[string]any]() }

// String is for messages.
func (g *group) String() string { return "record" }

type field struct {
	pq.Node
	name string
}

// Name returns the column's name.
func (f *field) Name() string { return f.name }

// Value is not used: rows are handed over as values.
func (f *field) Value(base reflect.Value) reflect.Value { return base }
