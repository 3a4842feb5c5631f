package xlsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// decoder returns what reads the rows of a chunk.
func (r *Reader) decoder(chunk []byte, before int) *sheetDecoder {
	return &sheetDecoder{sc: scanner{data: chunk}, strings: r.strings, styles: r.styles, lost: r.lost, date1904: r.date1904, row: before}
}

// inside returns the cells of the decoder's row that lie in the columns to be read.
func (r *Reader) inside(d *sheetDecoder) []cell {
	cells := d.cells
	for len(cells) > 0 && cells[0].column < r.area.left {
		cells = cells[1:]
	}
	for len(cells) > 0 && cells[len(cells)-1].column > r.area.right {
		cells = cells[:len(cells)-1]
	}
	return cells
}

// Header names the columns.
func (r *Reader) Header() *record.Header { return r.header }

// Evidence says what was found in the workbook.
func (r *Reader) Evidence() Evidence { return r.evidence }

// BytesRead returns how far the file has been read, in bytes of the file: its size when the last row has been. It may be
// called at any time.
func (r *Reader) BytesRead() int64 {
	return r.rest + min(r.zip.meter.read.Load()-r.base, r.packed)
}

// Next cuts the next rows out of the sheet. See [pipeline.Source].
func (r *Reader) Next(ctx context.Context, c *pipeline.Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, before, err := r.cut.next(c.Data[:0])
	c.Data, c.Line = data, int64(before)+1
	if err != nil {
		c.Data = data[:0]
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return r.fail(0, err)
	}
	return nil
}

// Decode reads the rows of a chunk. See [pipeline.Source].
func (r *Reader) Decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = r.header, r.header
	if !utf8.Valid(c.Data) {
		return r.fail(int(c.Line), broken("the text of this row, or of one of those that follow, is not UTF-8"))
	}
	d := r.decoder(c.Data, int(c.Line)-1)
	b.Rows = slices.Grow(b.Rows, 256)
	for {
		ok, err := d.next()
		if err != nil {
			return r.fail(d.row, err)
		}
		if !ok {
			return nil
		}
		if d.row >= r.dataFrom && d.row <= r.area.bottom && !(d.hidden && r.o.SkipHidden) {
			r.emit(d, b)
		}
	}
}

// emit adds the decoder's row to the batch, unless it is blank.
func (r *Reader) emit(d *sheetDecoder, b *record.Batch) {
	cells := r.inside(d)
	if len(cells) == 0 {
		return
	}
	width := r.header.Len()
	row := b.Add()
	row.Line = int64(d.row)
	row.Values = b.Cells(width)
	for i := range row.Values {
		row.Values[i] = record.TextOf("")
	}
	row.Origin = row.Values
	stray := -1
	for _, c := range cells {
		if i := c.column - r.left; i >= 0 && i < width {
			row.Values[i] = c.value
		} else if stray < 0 {
			stray = c.column
		}
	}
	r.merged.fill(d.row, row.Values, r.left)
	if stray >= 0 {
		r.ragged(d, cells, stray, row, b)
	}
	if d.twice > 0 {
		row.Reject(record.Problem{Rule: "duplicate", Message: fmt.Sprintf(
			"cell %s%d stands in the sheet twice, and which one is right cannot be told; open the file in a spreadsheet and save it again",
			record.ColumnName(d.twice-1), d.row)})
	}
}

// ragged refuses a row with a value outside the header. Its Origin keeps what stands behind the last column.
func (r *Reader) ragged(d *sheetDecoder, cells []cell, stray int, row *record.Row, b *record.Batch) {
	width := r.header.Len()
	if last := cells[len(cells)-1].column - r.left; last >= width {
		row.Origin = b.Cells(last + 1)
		for i := range row.Origin {
			row.Origin[i] = record.TextOf("")
		}
		copy(row.Origin, row.Values)
		for _, c := range cells {
			if c.column-r.left >= width {
				row.Origin[c.column-r.left] = c.value
			}
		}
	}
	row.Reject(record.Problem{Rule: "ragged", Message: fmt.Sprintf(
		"cell %s%d has a value, but the header goes from column %s to column %s; name the column, or empty the cell",
		record.ColumnName(stray), d.row, record.ColumnName(r.left), record.ColumnName(r.left+width-1))})
}

// Close frees the file and what was put aside on disk.
func (r *Reader) Close() error {
	if r.body != nil {
		_ = r.body.Close()
	}
	return errors.Join(r.strings.close(), r.zip.close())
}

// fail adds file, sheet and, if it is known, row to an error.
func (r *Reader) fail(row int, err error) error {
	if row > 0 {
		err = fmt.Errorf("row %d: %w", row, err)
	}
	return fmt.Errorf("%s: sheet %q: %w", r.name, r.sheet.name, err)
}
