package sandbox

import (
	"encoding/json"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// taken reports whether somebody but the contact of the id has the address.
func taken(from reader, email, id string) (bool, error) {
	ids, err := withEmail(from, email)
	if err != nil {
		return false, err
	}
	for _, one := range ids {
		if one != id {
			return true, nil
		}
	}
	return false, nil
}

// unique reports whether the profile refuses an address that is there already. v2's page says "unique"; the document
// says nothing.
func (k *Knobs) unique(v2 bool) bool { return v2 || k.Duplicates == "400" }

// create makes one contact, as one accepted write. The caller holds s.writing. It sets the contact's id.
func (s *Simulator) create(c *call, one *contact, v2 bool) error {
	newID := legacyID
	if v2 {
		newID = v2ID
	}
	return s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		if c.knobs.unique(v2) {
			if had, err := taken(tx, one.Email, ""); err != nil {
				return "", err
			} else if had {
				return "", duplicate(&c.knobs, v2, one.Email)
			}
		}
		n := tx.N()
		for one.ID = newID(n); tx.Has(kindContacts, one.ID); one.ID = newID(n) {
			n += 1 << 40
		}
		return one.ID, insert(tx, one)
	})
}

// createAll makes all of the contacts or, if one can't be, none. Each is an accepted write of its own.
func (s *Simulator) createAll(c *call, all []contact, v2 bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if c.knobs.unique(v2) {
		seen := map[string]bool{}
		for _, one := range all {
			had, err := taken(s.Store, one.Email, "")
			if err != nil {
				return err
			}
			if had || seen[emailKey(one.Email)] {
				return duplicate(&c.knobs, v2, one.Email)
			}
			seen[emailKey(one.Email)] = true
		}
	}
	for i := range all {
		if err := s.create(c, &all[i], v2); err != nil {
			return err
		}
	}
	return nil
}

// change sets fields of a contact of either profile, and returns it as it is then.
func (s *Simulator) change(c *call, id string, members []room.Member, v2 bool) (contact, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	var one contact
	err := s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		old, err := find(tx, id)
		if err != nil {
			return "", err
		}
		one = old
		for _, m := range members {
			if err := one.set(m, &c.knobs); err != nil {
				return "", err
			}
		}
		if err := one.complete(); err != nil {
			return "", err
		}
		if c.knobs.unique(v2) && emailKey(one.Email) != emailKey(old.Email) {
			if had, err := taken(tx, one.Email, id); err != nil {
				return "", err
			} else if had {
				return "", duplicate(&c.knobs, v2, one.Email)
			}
		}
		if err := move(tx, id, old.Email, one.Email); err != nil {
			return "", err
		}
		return id, tx.PutJSON(kindContacts, id, one)
	})
	return one, err
}

// drop deletes a contact of either profile.
func (s *Simulator) drop(c *call, id string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		old, err := find(tx, id)
		if err != nil {
			return "", err
		}
		tx.Delete(kindContacts, id)
		return id, move(tx, id, old.Email, "")
	})
}

// array splits a body that is an array.
func array(body []byte) ([]json.RawMessage, error) {
	var all []json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, room.Invalid("the body is not valid JSON: %v", err)
	}
	if len(all) == 0 {
		return nil, room.Invalid("the array is empty")
	}
	return all, nil
}

// isArray reports whether a body is an array, if it is JSON at all.
func isArray(body []byte) bool {
	for _, b := range body {
		switch b {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return b == '['
	}
	return false
}
