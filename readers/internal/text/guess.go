package text

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// sure is the share of belief that a guess needs; below it the user is asked.
const sure = 0.9

// guess is one way to read the sample.
type guess struct {
	candidate
	cells  []string // the sample as it reads
	score  float64  // logarithm
	share  float64  // of belief, 0 to 1
	doubts float64  // part of the characters that the languages of the encoding do not have there
	same   []string // names of encodings that read the sample alike
}

// Resolve returns the encoding of a text that was scanned: UTF-8 if it is, otherwise the one guess that is sure. An
// error names the place that is not UTF-8 and the readings to choose from.
func (s *Scan) Resolve() (Encoding, error) {
	if s.At < 0 {
		return Encoding{Name: "utf-8", Notes: []string{fmt.Sprintf("encoding utf-8: all %d bytes are valid as such", s.Size)}}, nil
	}
	if s.NUL {
		return Encoding{}, errors.New("this is no text: there are NUL bytes in it, and bytes of no encoding that can be told; export the table as CSV or XLSX")
	}
	where := fmt.Sprintf("line %d: byte %d (0x%02X) is not UTF-8", s.Line, s.At+1, s.around[s.in])
	if s.good > 2*s.bad && s.good > 4 {
		reads, _ := charmap.Windows1252.NewDecoder().Bytes(around(s.around, s.in)) // it knows every byte
		return Encoding{}, fmt.Errorf("%s, but %d other characters are: the file mixes encodings, or is damaged there (as windows-1252 the text there reads %q); mend the line, or pass --encoding", where, s.good, reads)
	}
	all := rank(s.cells)
	if len(all) == 0 {
		return Encoding{}, fmt.Errorf("%s, and no encoding that is known reads as text; pass --encoding NAME", where)
	}
	best := all[0]
	show := differing(all)
	if best.share < sure || best.doubts > 0.25 {
		var lines []string
		for _, g := range all[:min(len(all), 4)] {
			if g.share > 0.001 || len(lines) < 2 {
				lines = append(lines, fmt.Sprintf("%s reads %s", g.name, quoted(g.cells, show)))
			}
		}
		return Encoding{}, fmt.Errorf("%s, and which encoding it is can't be told for sure: %s; pass --encoding with the one that reads right, as in --encoding %s", where, strings.Join(lines, "; "), best.name)
	}
	e, err := byName(best.name)
	if err != nil {
		return Encoding{}, err
	}
	note := fmt.Sprintf("encoding %s: guessed (%.0f%% sure) from %s, as %s; it reads %s", e.Name, math.Floor(best.share*1000)/10, cellsOf(len(s.cells)), where, quoted(best.cells, show))
	if len(all) > 1 {
		note += fmt.Sprintf(", where %s would read %s", all[1].name, quoted(all[1].cells, show))
	}
	e.Notes = []string{note}
	if len(best.same) > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("encoding: %s would read the same", strings.Join(best.same, ", ")))
	}
	e.Guessed = true
	return e, nil
}

func cellsOf(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}

// differing returns the places of a few cells that the first two readings read differently.
func differing(all []guess) []int {
	const most = 3
	var at, rest []int
	for i := range all[0].cells {
		if len(all) > 1 && all[0].cells[i] != all[1].cells[i] && len(at) < most {
			at = append(at, i)
		} else if len(rest) < most {
			rest = append(rest, i)
		}
	}
	if len(at) == 0 {
		return rest
	}
	return at
}

func quoted(cells []string, at []int) string {
	var out []string
	for _, i := range at {
		s := []rune(strings.TrimSpace(cells[i]))
		if len(s) > 24 {
			first := slices.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
			from := max(0, first-8)
			s = s[from:min(len(s), from+24)]
		}
		out = append(out, fmt.Sprintf("%q", string(s)))
	}
	return strings.Join(out, ", ")
}

// rank reads the sample in every way that fits it, the likeliest first.
func rank(cells []string) []guess {
	var all []guess
	for _, c := range candidates() {
		g := guess{candidate: c}
		if !g.read(cells) {
			continue
		}
		if i := slices.IndexFunc(all, func(o guess) bool { return slices.Equal(o.cells, g.cells) }); i >= 0 {
			if g.score > all[i].score {
				g.same = append(all[i].same, all[i].name)
				all[i] = g
			} else {
				all[i].same = append(all[i].same, g.name)
			}
			continue
		}
		all = append(all, g)
	}
	slices.SortStableFunc(all, func(a, b guess) int { return cmp.Compare(b.score, a.score) })
	sum := 0.0
	for _, g := range all {
		sum += math.Exp(g.score - all[0].score)
	}
	for i := range all {
		all[i].share = math.Exp(all[i].score-all[0].score) / sum
	}
	return all
}

// read decodes the sample and weighs it under each language of the encoding. It reports false if bytes are not of the
// encoding.
func (g *guess) read(cells []string) bool {
	dec := g.enc.NewDecoder()
	for _, c := range cells {
		s, err := dec.String(c)
		if len(c) >= maxSample {
			s = strings.TrimRight(s, "\ufffd") // the cell is cut, maybe within a character
		}
		if err != nil || strings.ContainsRune(s, utf8.RuneError) || strings.ContainsFunc(s, control) {
			return false
		}
		g.cells = append(g.cells, s)
	}
	g.score = math.Inf(-1)
	for i := range g.langs {
		sum, odd, n := g.langs[i].prior, 0, 0
		for _, c := range g.cells {
			s, o, k := g.langs[i].weigh(c)
			sum, odd, n = sum+s, odd+o, n+k
		}
		if sum > g.score {
			g.score, g.doubts = sum, float64(odd)/float64(max(1, n))
		}
	}
	g.score += g.prior
	return true
}

func control(r rune) bool { return r >= 0x80 && r < 0xa0 || r < ' ' && r != '\t' }

// weigh returns how likely a cell is in the language, as a logarithm, how many of its characters beyond ASCII are odd
// there, and how many there are.
func (l *tongue) weigh(cell string) (sum float64, odd, n int) {
	rs := []rune(cell)
	at := func(i int) rune {
		if i < 0 || i >= len(rs) {
			return ' '
		}
		return rs[i]
	}
	for i, r := range rs {
		if r < utf8.RuneSelf {
			continue
		}
		n++
		var p float64
		if unicode.IsLetter(r) || unicode.IsMark(r) || l.even {
			p = l.letter(at(i-2), at(i-1), r, at(i+1))
		} else {
			p = sign(rs, i)
		}
		if p <= -9.5 && (!l.even || p <= rare) {
			odd++
		}
		sum += p
	}
	return sum, odd, n
}

// letter weighs a letter between its neighbours.
func (l *tongue) letter(before2, before, r, after rune) float64 {
	p, ok := l.letters[r]
	if !ok {
		p = l.other
	}
	if l.even {
		if 'a' <= before && before <= 'z' {
			p -= 3
		}
		if 'a' <= after && after <= 'z' {
			p -= 3
		}
		return p
	}
	switch {
	case unicode.IsUpper(r) && unicode.IsLower(before): // a capital within a word
		p -= 6
	case unicode.IsLower(r) && unicode.IsUpper(after):
		p -= 5
	case unicode.IsLower(r) && unicode.IsUpper(before) && unicode.IsUpper(before2):
		p -= 3
	}
	if !l.latin && (ascii(before) || ascii(after)) {
		p -= 6
	}
	if l.latin && wide(before) && wide(before2) { // three in a row
		p -= 3
	}
	switch {
	case r == 'ς' && unicode.IsLetter(after), r == 'σ' && before != ' ' && !unicode.IsLetter(after):
		p -= 4
	case r == 'ñ' && !isVowel(after), r == 'ß' && !isVowel(before):
		p -= 5
	}
	if !unicode.IsLetter(before) && !unicode.IsLetter(after) && !unicode.IsMark(after) { // a word of one letter
		p -= 3
	}
	if unicode.IsDigit(before) || strings.ContainsRune("'^|~{}[]@", before) || strings.ContainsRune("^|~{}[]", after) {
		p -= 2
	}
	return p
}

// isVowel reports whether a letter sounds by itself; no letter and letters beyond ASCII count as such.
func isVowel(r rune) bool { return strings.ContainsRune("aeiouyAEIOUY", r) || r >= utf8.RuneSelf }

func wide(r rune) bool { return r >= utf8.RuneSelf && unicode.IsLetter(r) }

func ascii(r rune) bool { return r < utf8.RuneSelf && unicode.IsLetter(r) }

// sign weighs a character that is no letter by where it stands.
func sign(rs []rune, i int) float64 {
	before, r, after := ' ', rs[i], ' '
	if i > 0 {
		before = rs[i-1]
	}
	if i+1 < len(rs) {
		after = rs[i+1]
	}
	letters := unicode.IsLetter(before) && unicode.IsLetter(after)
	digit := unicode.IsDigit(before) || unicode.IsDigit(after)
	switch r {
	case '’', '‘':
		switch {
		case letters && apostrophe(rs, i):
			return -3.5
		case !letters:
			return -5.5
		}
	case '“', '”', '„', '«', '»', '‹', '›':
		if !letters {
			return -4.5
		}
	case '–', '—', '•', '\u00a0':
		switch {
		case letters && r != '–', before == ' ' && r == '\u00a0', after == ' ' && r == '\u00a0':
			return -8
		case letters:
			return -6
		}
		return -4
	case '…':
		if !unicode.IsLetter(after) {
			return -4
		}
	case '€', '£', '¥':
		if digit || !unicode.IsLetter(before) && !unicode.IsLetter(after) {
			return -3.5
		}
	case '°', '²', '³', '½', '¼', '¾', '±', '×', 'µ', '·':
		if digit {
			return -4
		}
		if !letters {
			return -6.5
		}
	case '¿', '¡':
		if !unicode.IsLetter(before) {
			return -4.5
		}
	case '©', '®', '™', '§', '№', '¶':
		if !unicode.IsLetter(after) {
			return -4.5
		}
	case '،', '؟', '؛', '¤', '´', '¨', '¸':
		if !letters {
			return -7
		}
	}
	return rare
}

// apostrophe reports whether the one at i stands as in l’art, O’Brien or it’s.
func apostrophe(rs []rune, i int) bool {
	from, to := i, i+1
	for from > 0 && unicode.IsLetter(rs[from-1]) {
		from--
	}
	for to < len(rs) && unicode.IsLetter(rs[to]) {
		to++
	}
	switch string(rs[i+1 : to]) {
	case "s", "t", "d", "m", "re", "ve", "ll", "S", "T":
		return true
	}
	return i-from <= 2 && to-i > 3
}

// resolveHead is what a look at the beginning of a text says of bytes that are not UTF-8.
func resolveHead(head []byte, whole bool) (Encoding, error) {
	if !whole {
		head = head[:lastBreak(head)]
	}
	s, err := ScanAll(bytes.NewReader(head))
	if err != nil {
		return Encoding{}, err
	}
	return s.Resolve()
}
