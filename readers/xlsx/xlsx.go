// Package xlsx reads the rows of one worksheet of an Excel workbook (.xlsx, .xlsm), with the values that a person
// sees as data: numbers in full, dates as dates, the results of formulas.
//
// It reads the XML itself, in bounded memory and many goroutines. Nothing is ever cut short in silence: before the
// first row is handed out, the whole sheet has been inflated once, its checksum verified and its rows counted, so
// that a workbook which was damaged on its way is refused before anything was done with its rows.
//
// # Values
//
// Text of cells is text, also where it looks like a number. Numbers are decimal literals with every digit that is
// stored, without exponent; fractions lose the noise of binary doubles. A number whose format shows a day, a time, or
// both, is a Date, a Time or a DateTime, rounded to milliseconds; [h]:mm and its like make a Time that may exceed 24
// hours. A number that is no date under such a format, as a negative one, stays a Number, and 1900-02-29, which only
// spreadsheets know, is Text. Booleans are Bool, error cells a Fault with their name. A formula without a stored result is a Fault named
// [FormulaFault]. Of merged cells, the first one has the value, unless Options say to fill the others. A cell without any value is an empty Text.
//
// # Header
//
// The header is the first row with a value, or the first one below titles: rows with a few cells above a table that is
// far wider. Titles are passed over only where the sheet gives a second sign of its table (a filter, frozen rows, a
// blank row, other kinds of values below the names); without one, Open asks. A header of several rows is made by joining
// their names, if Options say so.
//
// # Rows
//
// Hidden rows and columns are read like all others, unless Options say otherwise, and Evidence tells of them; a hidden
// sheet is read only if it is named, or if there is no other.
// Rows without any value are passed over. A row with a value where the header has no column is refused under the rule
// ragged, and one in which a cell stands twice under the rule duplicate.
package xlsx

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// Options say what to read. The zero value reads the first visible worksheet; its first row with a value is the
// header.
type Options struct {
	// Sheet is a worksheet's name, or its number among the worksheets, from 1. A name goes before a number.
	Sheet string
	// HeaderRow is the number of the header's row in the sheet, from 1, or a run of rows as 2-3 whose names are
	// joined; "none" if there is no header: columns then have the letters of the sheet as names, and every row is
	// data. "" finds it: the first row with a value, or the first one below titles.
	HeaderRow string
	// Range bounds what is read: A1:K900, A:K or 2:900. What lies outside is not looked at.
	Range string
	// Loose keeps header names that are empty or stand twice, and every column of the sheet in its place, also
	// those that have no name. Otherwise the header is the run of names from the first to the last one, and a name
	// that is missing in between or stands twice is an error.
	Loose bool
	// SkipHidden leaves out the rows that are hidden, also those that a filter hides. Otherwise they are read like
	// all others, and Evidence says how many there are.
	SkipHidden bool
	// FillMerged gives every cell that a merged cell covers the value of the first one.
	FillMerged bool
}

// Evidence says what was found and on what grounds.
type Evidence struct {
	Sheet     string   // the sheet that is read
	Sheets    []string // all worksheets, in the workbook's order
	HeaderRow int      // the header's row in the sheet, from 1; 0 if there is none
	Date1904  bool     // days count from 1904, as on old Macs
	Notes     []string // what a person might want to know: other sheets, missing parts
}

// Reader reads one worksheet. It implements [pipeline.Source].
type Reader struct {
	name     string
	o        Options
	zip      *container
	sheet    sheet
	area     area
	date1904 bool
	styles   []class
	lost     string // the part of the styles, if it is missing
	strings  *table
	evidence Evidence

	header   *record.Header
	left     int // column of the header's first name
	dataFrom int // first row that may be data
	seen     survey
	merged   *merged
	base     int64 // bytes of the file that were read before the rows
	packed   int64 // size of the sheet in the file
	rest     int64 // size of all else in it

	body *part
	cut  *cutter
}

var _ pipeline.Source = (*Reader)(nil)

// Open opens a workbook, checks the sheet to its end, and reads its header. Its errors name the file.
func Open(path string, o Options) (*Reader, error) {
	z, err := openContainer(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{name: path, o: o, zip: z}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) open() error {
	var err error
	if r.area, err = parseArea(r.o.Range); err != nil {
		return err
	}
	header, err := r.wantedHeader()
	if err != nil {
		return err
	}
	b, err := readBook(r.zip)
	if err == nil {
		r.sheet, err = b.pick(r.o.Sheet)
	}
	if err == nil {
		r.note(b)
		err = r.shared(b)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if err := r.look(); err != nil {
		return r.fail(0, err)
	}
	if err := r.readHeader(header); err != nil {
		return r.fail(0, err)
	}
	r.noteHidden()
	if err := r.readMerged(); err != nil {
		return r.fail(0, err)
	}
	r.base = r.zip.meter.read.Load()
	if err := r.rewind(nil, nil); err != nil {
		return r.fail(0, err)
	}
	r.packed = r.body.packed
	r.rest = r.zip.size - r.packed
	return nil
}

// note writes down what the workbook says of its sheets.
func (r *Reader) note(b *book) {
	r.date1904 = b.date1904
	r.evidence = Evidence{Sheet: r.sheet.name, Date1904: b.date1904}
	var hidden []sheet
	others := 0
	for _, s := range b.sheets {
		if s.kind != "worksheet" {
			others++
			continue
		}
		r.evidence.Sheets = append(r.evidence.Sheets, s.name)
		if s.hidden {
			hidden = append(hidden, s)
		}
	}
	switch {
	case r.sheet.hidden && r.o.Sheet == "":
		r.notef("all worksheets are hidden; the first one is read")
	case r.sheet.hidden:
		r.notef("the sheet is hidden")
	case len(hidden) == 1:
		r.notef("worksheet %s is hidden; --sheet reads it", listed(hidden))
	case len(hidden) > 1:
		r.notef("worksheets %s are hidden; --sheet reads one of them", listed(hidden))
	}
	if seen := len(r.evidence.Sheets) - len(hidden); r.o.Sheet == "" && seen > 1 {
		r.notef("the first of %d visible worksheets is read; --sheet reads another", seen)
	}
	if others > 0 {
		r.notef("%d of the workbook's sheets hold charts or dialogs and no rows", others)
	}
	if b.date1904 {
		r.notef("days count from 1904-01-01")
	}
}

// notef adds a note for people.
func (r *Reader) notef(format string, args ...any) {
	r.evidence.Notes = append(r.evidence.Notes, fmt.Sprintf(format, args...))
}

// noteHidden says what of the sheet a person does not see.
func (r *Reader) noteHidden() {
	if n := r.seen.hidden; n > 0 {
		what := plural(n, "1 row is hidden", fmt.Sprintf("%d rows are hidden", n))
		if r.o.SkipHidden {
			r.notef("%s and left out", what)
		} else {
			r.notef("%s and read like the others", what)
		}
	}
	var runs []string
	for _, a := range r.seen.hiddenUpTo(r.left + r.header.Len() - 1) {
		if a.right < r.left {
			continue
		}
		name := record.ColumnName(a.left)
		if a.right > a.left {
			name += " to " + record.ColumnName(a.right)
		}
		runs = append(runs, name)
	}
	if len(runs) > 0 {
		r.notef("hidden columns are read like the others: %s", strings.Join(runs, ", "))
	}
}

// shared reads what all cells share: styles and strings.
func (r *Reader) shared(b *book) (err error) {
	if r.zip.has(b.styles) {
		p, err := r.zip.open(b.styles)
		if err != nil {
			return err
		}
		defer func() { _ = p.Close() }()
		if r.styles, err = readStyles(p); err != nil {
			return fmt.Errorf("part %s: %w", b.styles, err)
		}
	} else {
		r.lost = b.styles
		r.notef("the workbook has no styles: dates cannot be told from numbers")
	}
	if !r.zip.has(b.strings) {
		r.strings = &table{missing: b.strings}
		return nil
	}
	p, err := r.zip.open(b.strings)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	p.readAhead()
	if r.strings, err = readStrings(p, p.window(), keepStrings); err != nil {
		return fmt.Errorf("part %s: %w", b.strings, err)
	}
	return nil
}

// rewind opens the sheet from its beginning. see and sv are shown what it holds; they may be nil.
func (r *Reader) rewind(see func(*scanner) error, sv *survey) error {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
	if r.sheet.part == "" {
		return errors.New("the workbook does not say where its rows are")
	}
	p, err := r.zip.open(r.sheet.part)
	if err != nil {
		return err
	}
	p.readAhead()
	r.body = p
	if r.cut, err = newCutter(p, p.window(), "worksheet", "sheetData", "row", see); err != nil {
		return err
	}
	r.cut.numbered, r.cut.survey = true, sv
	return nil
}

// look reads the sheet once without decoding its cells: to its end, or to the error that it ends with.
func (r *Reader) look() error {
	r.seen = survey{measure: r.allColumns() && r.area.right == whole.right, rows: r.area}
	if err := r.rewind(r.seen.element, &r.seen); err != nil {
		return err
	}
	r.cut.discard = true // so that next returns at the end only
	_, _, err := r.cut.next(nil)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
