// Package xlsx writes rows as an Excel workbook, with typed cells, a bold and frozen header with a filter, and columns
// as wide as their first values.
//
// Rows go straight into the archive, which several goroutines compress, so that memory stays small whatever their
// number, and no temporary file is needed; all else of the workbook (styles, list of sheets, filters) is excelize's.
//
// # Cells
//
// Text is text, whatever it looks like: an id, a phone number, "=cmd". If it begins like a number or a formula, its
// cell has the format of text too, so that it stays what it is when somebody edits it. Numbers are numbers if Excel can
// hold them: at most 15 significant digits; longer ones are text, so that no digit is lost, and so are those of a
// column that is said to hold ids, phones or other text. Dates and times are real ones, rounded to milliseconds; a
// DateTime with a zone is written as UTC in a format that ends with Z, because cells know no zones. Dates before
// 1900-03-01, which spreadsheets disagree on, are text. Lists are written as in CSV, error cells as text. Characters
// that XML cannot hold are written in the form _x0001_, as Excel does, and read back as what they were.
//
// A text of more than 32,767 characters can be kept elsewhere: see [Options.Long].
package xlsx

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/record"
)

// What Excel can hold.
const (
	maxRows     = 1 << 20 // rows of a sheet, with the header
	maxColumns  = 1 << 14
	maxText     = 32_767  // UTF-16 units of a cell
	maxSheet    = 7 << 29 // bytes of a sheet's XML: behind 4 GiB Excel is particular about the archive's form
	maxNameSize = 31      // UTF-16 units of a sheet's name
)

// Options say how the workbook looks.
type Options struct {
	// Sheet names the sheet; "" is Sheet1. What Excel does not allow in a name becomes "_". Rows that do not fit on
	// one sheet go on to a next one, named with " (2)" and so on.
	Sheet string
	// Header names the columns; nil takes that of the first batch.
	Header *record.Header
	// Types say what the columns hold, in the schema's words; "" or missing: nothing. Numbers in a column of ids,
	// phones or any other text are written as text.
	Types []string
	// Long keeps a text that no cell can hold and returns the name of the file that has it; the cell then has the
	// text's beginning and says so. nil: rows with such a text are rejected.
	Long func(LongText) (file string, err error)
	// Warn is told at Commit what a person should know; nil: nobody.
	Warn func(string)
}

// LongText is a text that no cell can hold, and where its beginning stands.
type LongText struct {
	Sheet, Cell string // as in Sheet1, B7
	Row         int64  // the row's number in its source
	Column      string // its name, or its letters
	Text        string
}

// Writer writes a workbook. It implements the sink of a pipeline, for one goroutine. The workbook is streamed: its
// beginning reaches the underlying writer before Commit, and only Commit makes it complete.
type Writer struct {
	o    Options
	out  *sticky
	zip  *zip.Writer
	xml  io.Writer // the sheet's entry in zip
	buf  []byte    // of XML that is not in xml yet
	book *excelize.File

	styles    styles
	textStyle string   // the attribute of a cell with the format of text
	sheets    []string // names of the sheets so far
	row       int      // last row of the sheet
	digits    []byte   // its number
	size      int64    // of the sheet's XML so far
	limit     int      // rows of a sheet
	widths    []int
	starts    []string // how a cell begins, up to the row's number, by column
	done      bool

	longs               int64  // texts that no cell can hold
	firstLong, longFile string // where the first of them is
}

// styles are the cell formats by what they are for.
type styles struct{ header, text, date, dateTime, dateTimeMs, utc, utcMs, clock, clockMs, elapsed, elapsedMs int }

// New returns a writer whose workbook goes to w.
func New(w io.Writer, o Options) (*Writer, error) {
	x := &Writer{o: o, out: &sticky{w: w}, book: excelize.NewFile(), limit: maxRows}
	if err := x.addStyles(); err != nil {
		return nil, errors.Join(err, x.book.Close())
	}
	x.zip = zip.NewWriter(x.out)
	x.zip.RegisterCompressor(zip.Deflate, newDeflater)
	if o.Header != nil && o.Header.Len() > maxColumns {
		return nil, fmt.Errorf("the workbook would need %d columns, and a sheet has %d; choose fewer with --columns", o.Header.Len(), maxColumns)
	}
	return x, nil
}

func (x *Writer) addStyles() error {
	type want struct {
		id     *int
		format string
	}
	for _, s := range []want{
		{&x.styles.text, "@"},
		{&x.styles.date, "yyyy-mm-dd"},
		{&x.styles.dateTime, "yyyy-mm-dd hh:mm:ss"},
		{&x.styles.dateTimeMs, "yyyy-mm-dd hh:mm:ss.000"},
		{&x.styles.utc, `yyyy-mm-dd hh:mm:ss"Z"`},
		{&x.styles.utcMs, `yyyy-mm-dd hh:mm:ss.000"Z"`},
		{&x.styles.clock, "hh:mm:ss"},
		{&x.styles.clockMs, "hh:mm:ss.000"},
		{&x.styles.elapsed, "[hh]:mm:ss"},
		{&x.styles.elapsedMs, "[hh]:mm:ss.000"},
	} {
		id, err := x.book.NewStyle(&excelize.Style{CustomNumFmt: &s.format})
		if err != nil {
			return fmt.Errorf("cell format %s: %w", s.format, err)
		}
		*s.id = id
	}
	id, err := x.book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return fmt.Errorf("format of the header: %w", err)
	}
	x.styles.header = id
	x.textStyle = fmt.Sprintf(` s="%d"`, x.styles.text)
	return nil
}

// Apply has nothing to prepare: a cell's place is known only when the rows before it are written.
func (x *Writer) Apply(*record.Batch) error { return nil }

// Write writes the open rows of the batch. A row with a text that is too long for Excel is rejected, unless there is
// another place for it.
func (x *Writer) Write(ctx context.Context, b *record.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if x.o.Header == nil {
		x.o.Header = b.Header
	}
	if len(x.sheets) == 0 {
		x.measure(b)
		if err := x.begin(); err != nil {
			return err
		}
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if x.row == x.limit || x.size+int64(len(x.buf)) > maxSheet {
			if err := x.end(); err != nil {
				return err
			}
			if err := x.begin(); err != nil {
				return err
			}
		}
		if err := x.append(row); err != nil {
			return err
		}
		if len(x.buf) >= 64<<10 {
			if err := x.flush(); err != nil {
				return err
			}
		}
	}
	if err := x.flush(); err != nil {
		return err
	}
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			b.Rows[i].Accept("written", "")
		}
	}
	return nil
}

// measure finds how wide the columns are to be, from the header and the first rows.
func (x *Writer) measure(b *record.Batch) {
	const least, most, look = 8, 60, 100
	x.widths = make([]int, x.o.Header.Len())
	see := func(i int, s string) {
		if len(s) > 4*most {
			s = s[:4*most]
		}
		line, _, _ := strings.Cut(s, "\n")
		if i < len(x.widths) {
			x.widths[i] = min(max(x.widths[i], utf8.RuneCountInString(line)+2), most)
		}
	}
	for i := range x.widths {
		x.widths[i] = least
		see(i, x.o.Header.Name(i)+"   ") // the filter's button needs room
	}
	for _, row := range b.Rows[:min(len(b.Rows), look)] {
		for i, v := range row.Values {
			see(i, v.Cell())
		}
	}
}

// begin starts a sheet with its header.
func (x *Writer) begin() error {
	name := sheetName(x.o.Sheet, len(x.sheets)+1)
	if len(x.sheets) == 0 {
		if err := x.book.SetSheetName("Sheet1", name); err != nil {
			return fmt.Errorf("sheet %q: %w", name, err)
		}
	} else if _, err := x.book.NewSheet(name); err != nil {
		return fmt.Errorf("sheet %q: %w", name, err)
	}
	x.sheets = append(x.sheets, name)
	entry, err := x.zip.Create(sheetPart(len(x.sheets)))
	if err != nil {
		return err
	}
	x.xml, x.row, x.size = entry, 0, 0
	x.buf = append(x.buf, `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`+"\n"+
		`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"`...)
	if len(x.sheets) == 1 {
		x.buf = append(x.buf, ` tabSelected="1"`...)
	}
	if n := x.o.Header.Len(); n > 0 {
		x.buf = append(x.buf, `><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>`...)
		for i, w := range x.widths {
			x.buf = fmt.Appendf(x.buf, `<col min="%d" max="%d" width="%d"`, i+1, i+1, w)
			if x.isText(i) {
				x.buf = append(x.buf, strings.Replace(x.textStyle, " s=", " style=", 1)...) // for what is typed there later
			}
			x.buf = append(x.buf, ` customWidth="1"/>`...)
		}
		x.buf = append(x.buf, `</cols><sheetData>`...)
		return x.header(n)
	}
	x.buf = append(x.buf, `/></sheetViews><sheetData>`...)
	return nil
}

// header writes the names of the columns.
func (x *Writer) header(n int) error {
	x.row++
	x.digits = append(x.digits[:0], '1')
	x.buf = append(x.buf, `<row r="1">`...)
	for i := range n {
		name := x.o.Header.Name(i)
		if tooLong(name) {
			return fmt.Errorf("the name of column %s is longer than the %d characters that a cell can hold", record.ColumnName(i), maxText)
		}
		x.cell(i)
		x.buf = append(x.buf, ` s="`...)
		x.buf = strconv.AppendInt(x.buf, int64(x.styles.header), 10)
		x.buf = append(appendText(append(x.buf, '"'), name), `</c>`...)
	}
	x.buf = append(x.buf, `</row>`...)
	return nil
}

// end finishes the sheet.
func (x *Writer) end() error {
	x.buf = append(x.buf, `</sheetData>`...)
	if n := x.o.Header.Len(); n > 0 {
		ref := "A1:" + record.ColumnName(n-1) + strconv.Itoa(x.row)
		x.buf = append(append(append(x.buf, `<autoFilter ref="`...), ref...), `"/>`...)
		// The name that goes with a filter. excelize does not quote it, and filters work without.
		if name := x.sheets[len(x.sheets)-1]; !strings.Contains(name, "'") {
			if err := x.book.AutoFilter(name, ref, nil); err != nil {
				return fmt.Errorf("filter of sheet %q: %w", name, err)
			}
		}
	}
	if n := x.o.Header.Len(); n > 0 && x.row > 1 {
		// No green corners on ids and phones.
		x.buf = append(append(x.buf, `<ignoredErrors><ignoredError sqref="A2:`...), record.ColumnName(n-1)...)
		x.buf = append(strconv.AppendInt(x.buf, int64(x.row), 10), `" numberStoredAsText="1"/></ignoredErrors>`...)
	}
	x.buf = append(x.buf, `</worksheet>`...)
	return x.flush()
}

func (x *Writer) flush() error {
	n, err := x.xml.Write(x.buf)
	x.size += int64(n)
	x.buf = x.buf[:0]
	return err
}

// Commit completes the workbook.
func (x *Writer) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if x.done {
		return errors.New("the workbook is complete already")
	}
	if x.o.Header == nil {
		x.o.Header = record.LooseHeader(nil)
	}
	if len(x.sheets) == 0 {
		x.measure(&record.Batch{})
		if err := x.begin(); err != nil {
			return err
		}
	}
	if err := x.end(); err != nil {
		return err
	}
	x.done = true
	// excelize gathers a whole archive in memory; its own hook lets it add what is missing to ours instead.
	x.book.ZipWriter = func(io.Writer) excelize.ZipWriter { return rest{x.zip} }
	if err := x.book.Write(io.Discard); err != nil {
		return err
	}
	if x.out.err != nil { // excelize does not return all errors
		return x.out.err
	}
	x.warn()
	return nil
}

// warn says what is not as a person would expect it.
func (x *Writer) warn() {
	if x.o.Warn == nil {
		return
	}
	if x.longs > 0 {
		x.o.Warn(fmt.Sprintf("texts that are longer than the %d characters of a cell: %d (the first: %s); the workbook has their beginnings, %s has them whole", maxText, x.longs, x.firstLong, x.longFile))
	}
	if n := len(x.sheets); n > 1 {
		x.o.Warn(fmt.Sprintf("one sheet can't hold all rows: they go on, on the sheets %q to %q", x.sheets[1], x.sheets[n-1]))
	}
}

// Close frees what the writer holds. Without Commit before, the workbook is incomplete and of no use.
func (x *Writer) Close() error { return x.book.Close() }

// rest takes excelize's parts, but for the sheets, which are written.
type rest struct{ *zip.Writer }

func (r rest) Create(name string) (io.Writer, error) {
	if strings.HasPrefix(name, "xl/worksheets/sheet") {
		return io.Discard, nil
	}
	return r.Writer.Create(name)
}

func (r rest) AddFS(fsys fs.FS) error { return r.Writer.AddFS(fsys) }

// sticky remembers the first error.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// sheetPart is the part that excelize gives to sheet n.
func sheetPart(n int) string { return fmt.Sprintf("xl/worksheets/sheet%d.xml", n) }

// sheetName returns a name that Excel allows, for sheet n of those that hold the rows.
func sheetName(name string, n int) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || strings.ContainsRune(`:\/?*[]`, r) {
			return '_'
		}
		return r
	}, name)
	name = strings.Trim(name, "'")
	if name == "" || strings.EqualFold(name, "history") { // a name that Excel keeps for itself
		name = "Sheet1"
	}
	suffix := ""
	if n > 1 {
		suffix = fmt.Sprintf(" (%d)", n)
	}
	units := utf16.Encode([]rune(name))
	if most := maxNameSize - len(suffix); len(units) > most {
		if units = units[:most]; utf16.IsSurrogate(rune(units[most-1])) && units[most-1] < 0xDC00 {
			units = units[:most-1]
		}
		name = strings.TrimRight(string(utf16.Decode(units)), "'")
	}
	return name + suffix
}
