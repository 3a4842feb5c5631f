package text

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// Scan sizes.
const (
	scanPiece  = 256 << 10
	maxSamples = 4000 // distinct cells with bytes beyond ASCII that are kept
	maxSample  = 96   // bytes of one
)

// Scan is what a look at a whole text keeps: whether it is UTF-8, and if not, the cells to tell another encoding by.
type Scan struct {
	Size   int64 // bytes looked at
	NUL    bool  // there are NUL bytes
	At     int64 // offset of the first byte that is not UTF-8, -1 if there is none
	Line   int64 // its line, 1-based
	around []byte
	in     int   // its place in around
	good   int64 // characters beyond ASCII that are UTF-8
	bad    int64 // bytes that are not

	cells []string
	seen  map[string]bool
}

// ScanAll looks at a text to its end, or as far as needed to tell its encoding. Memory is bounded.
func ScanAll(r io.Reader) (*Scan, error) {
	s := &Scan{At: -1, Line: 1}
	buf := make([]byte, 0, scanPiece)
	for idle := 0; ; {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := err != nil
		if end && !errors.Is(err, io.EOF) {
			return s, err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle > 100 && !end {
			return s, io.ErrNoProgress
		}
		if !end && len(buf) < cap(buf) {
			continue
		}
		used := s.piece(buf, end)
		if end || s.At >= 0 && len(s.cells) >= maxSamples {
			return s, nil
		}
		buf = buf[:copy(buf, buf[used:])]
	}
}

// piece looks at a piece of text and returns how much of it is done with.
func (s *Scan) piece(b []byte, end bool) int {
	use := len(b)
	if !end {
		use = lastBreak(b)
	}
	b = b[:use]
	if s.At < 0 {
		at := Invalid(b, end)
		if at < 0 {
			s.Line += Lines(b)
			s.Size += int64(use)
			return use
		}
		s.At, s.Line = s.Size+int64(at), s.Line+Lines(b[:at])
		from := max(0, at-24)
		s.around, s.in = bytes.Clone(b[from:min(len(b), at+24)]), at-from
	}
	s.NUL = s.NUL || bytes.IndexByte(b, 0) >= 0
	s.Size += int64(use)
	s.collect(b)
	return use
}

// lastBreak returns a place near the end of b where no character of any encoding is cut: after a line end, or after
// another byte that no encoding uses within characters.
func lastBreak(b []byte) int {
	for i := len(b); i > len(b)/2; i-- {
		if b[i-1] < '0' {
			return i
		}
	}
	return len(b) - utf8.UTFMax
}

// collect keeps the cells that have bytes beyond ASCII.
func (s *Scan) collect(b []byte) {
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		from, to := i, i
		for from > 0 && i-from < maxSample/2 && !separates(b[from-1]) {
			from--
		}
		for from > 0 && from < i && !separates(b[from-1]) && b[from-1] >= '0' {
			from++ // cut only where no character is cut
		}
		for to < len(b) && !separates(b[to]) && (to-i < maxSample/2 || b[to-1] >= '0' && to-i < maxSample) {
			to++
		}
		cell := b[from:to]
		for to < len(b) && !separates(b[to]) {
			to++
		}
		s.count(b[from:to])
		if len(s.cells) < maxSamples && !s.seen[string(cell)] {
			s.seen[string(cell)] = true
			s.cells = append(s.cells, string(cell))
		}
		i = max(to, i+1)
	}
}

// separates reports whether a byte ends cells in most files and is no part of a character in any encoding.
func separates(c byte) bool {
	return c == '\n' || c == '\r' || c == '\t' || c == ',' || c == ';' || c == '"'
}

func (s *Scan) count(cell []byte) {
	for i := 0; i < len(cell); {
		if cell[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(cell[i:])
		if r == utf8.RuneError && n <= 1 {
			s.bad++
		} else {
			s.good++
		}
		i += n
	}
}
