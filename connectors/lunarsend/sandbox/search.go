package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// match returns the ids of the contacts whose field has the term, in the order in which they were made.
func (s *Simulator) match(field, term string, k *Knobs) ([]string, error) {
	exact := k.SearchMatch == matchExact
	term = strings.ToLower(term)
	switch {
	case exact && (field == "id" || field == "contact_id"):
		_, ok, err := s.Store.Get(kindContacts, term)
		if err != nil || !ok {
			return nil, err
		}
		return []string{term}, nil
	case exact && field == "email":
		// A client asks this before each create, so it does not go through all contacts.
		return withEmail(s.Store, term)
	}
	var ids []string
	for doc, err := range s.Store.List(kindContacts).All() {
		if err != nil {
			return nil, err
		}
		var one contact
		if err := json.Unmarshal(doc, &one); err != nil {
			return nil, err
		}
		has := strings.ToLower(*one.field(field))
		if has == term || !exact && strings.Contains(has, term) {
			ids = append(ids, one.ID)
		}
	}
	return ids, nil
}

// ids returns the ids of a list of contacts.
func ids(l room.List) ([]string, error) {
	out := make([]string, 0, l.Len())
	for doc, err := range l.All() {
		if err != nil {
			return nil, err
		}
		var one struct{ ID string }
		if err := json.Unmarshal(doc, &one); err != nil {
			return nil, err
		}
		out = append(out, one.ID)
	}
	return out, nil
}

// onlyID is how the legacy API shows a contact.
type onlyID struct {
	ID string `json:"id"`
}

// writeList answers with an array of contacts between head and tail. The whole is never in memory.
func (s *Simulator) writeList(c *call, head string, ids []string, show func(*contact) any, tail string) error {
	c.w.Header().Set("Content-Type", "application/json")
	buf := append(make([]byte, 0, 64<<10), head...)
	buf = append(buf, '[')
	empty := true
	for _, id := range ids {
		one, err := find(s.Store, id)
		if isRefusal(err) {
			continue // deleted meanwhile
		}
		var doc []byte
		if err == nil {
			doc, err = room.Marshal(show(&one))
		}
		if err != nil {
			// The status may have left already: only a broken connection can say that this is not all.
			panic(http.ErrAbortHandler)
		}
		if !empty {
			buf = append(buf, ',')
		}
		empty = false
		buf = append(buf, doc...)
		if len(buf) > 60<<10 {
			if _, err := c.w.Write(buf); err != nil {
				return nil // a client that has gone is no failure of ours
			}
			buf = buf[:0]
		}
	}
	buf = append(buf, ']')
	_, _ = c.w.Write(append(buf, tail...))
	return nil
}
