package sandbox

import (
	"bytes"
	"encoding/json"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// searchCustomers answers GET /customers/search/{term}: "Case-insensitive. Fields searched include: name, company,
// address, city, state, zip (postal code), and country." That a field need only contain the term is the document's
// example: island finds Pawleys Island.
func (s *Simulator) searchCustomers(c *call) error {
	term := strings.ToLower(c.args[0])
	hint := plainPart(term)
	var broken error
	var buf []byte
	found, err := s.Store.List(kindCustomers).Where(func(doc []byte) bool {
		// The fields in question come first. A name of a member can't be in a text, where its quotes would be escaped.
		head, _, more := bytes.Cut(doc, []byte(`,"email":`))
		// Most records do not have the term anywhere: those need no decoding.
		if !mayContain(head, hint) {
			return false
		}
		if more {
			doc = append(append(buf[:0], head...), '}')
			buf = doc
		}
		var f struct{ Name, Company, Address, City, State, Zip, Country string }
		if err := json.Unmarshal(doc, &f); err != nil {
			broken = err
			return false
		}
		for _, v := range [...]string{f.Name, f.Company, f.Address, f.City, f.State, f.Zip, f.Country} {
			if strings.Contains(strings.ToLower(v), term) {
				return true
			}
		}
		return false
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	room.WriteArray(c.w, found, c.knobs.ContentLength)
	return nil
}

// plainPart returns the longest part of a term that looks in JSON as it does outside: ASCII without quotes, backslashes
// and control characters.
func plainPart(term string) []byte {
	longest := ""
	for part := range strings.FieldsFuncSeq(term, func(r rune) bool { return r < ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return []byte(longest)
}

// mayContain reports whether a document, in lower case, can have the hint, which is in lower case, somewhere.
func mayContain(doc, hint []byte) bool {
	if len(hint) == 0 || containsFold(doc, hint) {
		return true
	}
	// Two letters outside ASCII become ASCII in lower case.
	return bytes.Contains(doc, []byte("\u212a")) || bytes.Contains(doc, []byte("\u0130")) // Kelvin sign; I with a dot
}

// containsFold reports whether doc has term, which is lower-case ASCII and not empty.
func containsFold(doc, term []byte) bool {
	lower, upper := term[0], term[0]
	if 'a' <= lower && lower <= 'z' {
		upper -= 'a' - 'A'
	}
next:
	for i := 0; i+len(term) <= len(doc); i++ {
		if doc[i] != lower && doc[i] != upper {
			continue
		}
		for j := 1; j < len(term); j++ {
			b := doc[i+j]
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			if b != term[j] {
				continue next
			}
		}
		return true
	}
	return false
}
