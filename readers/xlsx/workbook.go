package xlsx

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// sheet is an entry of the workbook's list of sheets.
type sheet struct {
	name   string
	part   string // key of its part, "" if the workbook does not say
	kind   string // worksheet, chartsheet, dialogsheet, …
	hidden bool
}

// book is what the workbook says of itself.
type book struct {
	sheets   []sheet
	date1904 bool
	strings  string // key of the part of shared strings, "" if there is none
	styles   string
}

// relation is what a part says of another one.
type relation struct{ kind, target string }

// maxSheets bounds the list of sheets; the most that is known from life is a few hundred.
const maxSheets = 100_000

// readBook finds the workbook's parts.
func readBook(c *container) (*book, error) {
	main := "xl/workbook.xml"
	if c.has("_rels/.rels") {
		rels, err := c.relations("", "_rels/.rels")
		if err != nil {
			return nil, err
		}
		for _, r := range rels {
			if r.kind == "officeDocument" {
				main = r.target
			}
		}
	}
	if strings.HasPrefix(main, "word/") || strings.HasPrefix(main, "ppt/") {
		return nil, errors.New("is a Word or PowerPoint file, not a workbook")
	}
	if !c.has(main) {
		return nil, fmt.Errorf("is no workbook, or an incomplete one: part %s is missing", main)
	}
	relsKey := partKey(path.Join(path.Dir(main), "_rels", path.Base(main)+".rels"))
	if !c.has(relsKey) {
		return nil, fmt.Errorf("is an incomplete workbook: part %s, which says where its sheets are, is missing", relsKey)
	}
	rels, err := c.relations(main, relsKey)
	if err != nil {
		return nil, err
	}
	b := &book{}
	for _, r := range rels {
		switch r.kind {
		case "sharedStrings":
			b.strings = r.target
		case "styles":
			b.styles = r.target
		}
	}
	if b.strings == "" && c.has("xl/sharedstrings.xml") {
		b.strings = "xl/sharedstrings.xml"
	}
	if b.styles == "" && c.has("xl/styles.xml") {
		b.styles = "xl/styles.xml"
	}
	return b, c.scan(main, func(s *scanner) error { return b.element(s, rels) })
}

// element takes in one start tag of the workbook part.
func (b *book) element(s *scanner, rels map[string]relation) error {
	switch string(local(s.name)) {
	case "workbookPr":
		// There may be another one, in an extension, which says nothing of this.
		v, ok, err := s.attr("date1904")
		if ok {
			b.date1904 = v == "1" || v == "true"
		}
		return err
	case "sheet":
		if len(b.sheets) == maxSheets {
			return fmt.Errorf("has more than %d sheets", maxSheets)
		}
		var sh sheet
		for _, a := range s.attrs {
			v, err := unescape(nil, a.value)
			if err != nil {
				return err
			}
			switch name := string(a.name); {
			case name == "name":
				sh.name = string(v)
			case name == "state":
				sh.hidden = string(v) != "visible"
			case strings.HasSuffix(name, ":id"):
				sh.part, sh.kind = rels[string(v)].target, rels[string(v)].kind
			}
		}
		b.sheets = append(b.sheets, sh)
	}
	return nil
}

// scan reads a small part whole and calls see at every start tag.
func (c *container) scan(key string, see func(*scanner) error) error {
	p, err := c.open(key)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	s := newScanner(p, p.window(), maxRecord)
	for {
		tok, err := s.next()
		switch {
		case err == nil && tok == tokEOF:
			return nil
		case err == nil && p.size > maxSmallPart:
			err = fmt.Errorf("it is larger than %d MiB", maxSmallPart>>20)
		case err == nil && tok == tokStart:
			err = see(s)
		}
		if err != nil {
			return fmt.Errorf("part %s: %w", key, err)
		}
	}
}

// relations reads a part of relationships, by id. Those to places outside the file are left out.
func (c *container) relations(base, key string) (map[string]relation, error) {
	rels := map[string]relation{}
	err := c.scan(key, func(s *scanner) error {
		if string(local(s.name)) != "Relationship" {
			return nil
		}
		var id, target, kind, mode string
		for _, a := range s.attrs {
			v, err := unescape(nil, a.value)
			if err != nil {
				return err
			}
			switch string(a.name) {
			case "Id":
				id = string(v)
			case "Target":
				target = string(v)
			case "Type":
				kind = path.Base(string(v)) // strict and transitional workbooks differ before that
			case "TargetMode":
				mode = string(v)
			}
		}
		if mode != "External" {
			rels[id] = relation{kind, resolve(base, target)}
		}
		return nil
	})
	return rels, err
}

// pick returns the sheet that want names: by its name, in spite of case if need be, or by its number among the
// worksheets. "" picks the first visible one.
func (b *book) pick(want string) (sheet, error) {
	var list []sheet
	for _, s := range b.sheets {
		if s.kind == "worksheet" {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return sheet{}, errors.New("has no worksheet")
	}
	if want == "" {
		for _, s := range list {
			if !s.hidden {
				return s, nil
			}
		}
		return list[0], nil
	}
	for _, s := range list {
		if s.name == want {
			return s, nil
		}
	}
	for _, s := range list {
		if strings.EqualFold(s.name, want) {
			return s, nil
		}
	}
	for _, s := range b.sheets {
		if s.name == want {
			return sheet{}, fmt.Errorf("sheet %q is a %s and has no rows", want, s.kind)
		}
	}
	if n, err := strconv.Atoi(want); err == nil {
		if n >= 1 && n <= len(list) {
			return list[n-1], nil
		}
		return sheet{}, fmt.Errorf("has no sheet %d; it has %d worksheets", n, len(list))
	}
	return sheet{}, fmt.Errorf("has no sheet %q; it has %s", want, listed(list))
}

// listed names sheets for a message, the first dozen of them.
func listed(list []sheet) string {
	var names []string
	for i, s := range list {
		if i == 12 {
			names = append(names, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		names = append(names, strconv.Quote(s.name))
	}
	return strings.Join(names, ", ")
}
