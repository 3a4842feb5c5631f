package sandbox

import (
	"net/http"
	"slices"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// The two spellings of an edit: the document's table has the one with underscores, its example the other.
var (
	namesCamel = [2]string{"contactID", "updateFields"}
	namesSnake = [2]string{"contact_id", "update_fields"}
)

func editName(name string) bool {
	return slices.Contains(namesCamel[:], name) || slices.Contains(namesSnake[:], name)
}

// post answers POST /contacts, which is a create or an edit: the document has both as POST and names no paths, so only
// the body can tell.
func (s *Simulator) post(c *call) error {
	if err := c.json(); err != nil {
		return err
	}
	if isArray(c.body) && c.knobs.LegacyArrays {
		return s.createMany(c)
	}
	members, err := c.object()
	if err != nil {
		return err
	}
	edits := slices.ContainsFunc(members, func(m room.Member) bool { return editName(m.Name) })
	if edits && c.knobs.EditAt != editOwn {
		return s.editWith(c, members)
	}
	one, err := c.build(members, createFields())
	if err != nil {
		return err
	}
	all := []contact{one}
	if err := s.createAll(c, all, false); err != nil {
		return err
	}
	return c.answer(c.knobs.CreateStatus, all, false)
}

// createMany makes the contacts of an array.
func (s *Simulator) createMany(c *call) error {
	docs, err := array(c.body)
	if err != nil {
		return err
	}
	all := make([]contact, len(docs))
	for i, doc := range docs {
		members, err := room.ParseObject(doc)
		if err != nil {
			return room.Invalid("contact %d: %v", i+1, err)
		}
		if all[i], err = c.build(members, createFields()); err != nil {
			return room.Invalid("contact %d: %v", i+1, err)
		}
	}
	if err := s.createAll(c, all, false); err != nil {
		return err
	}
	return c.answer(c.knobs.CreateStatus, all, true)
}

// answer says what was made or changed.
func (c *call) answer(status int, all []contact, several bool) error {
	shape := c.knobs.Answer
	list := make([]any, len(all))
	for i := range all {
		list[i] = onlyID{all[i].ID}
		if shape == shapeFull {
			list[i] = all[i].whole(&c.knobs)
		}
	}
	var body any = list
	if !several && (shape == shapeSingle || shape == shapeData) {
		body = list[0]
	}
	if shape == shapeData {
		body = struct {
			Data any `json:"data"`
		}{body}
	}
	room.WriteJSON(c.w, status, body)
	return nil
}

// edit answers POST /contacts/edit.
func (s *Simulator) edit(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	return s.editWith(c, members)
}

func (s *Simulator) editWith(c *call, members []room.Member) error {
	id, update, err := c.edited(members)
	if err != nil {
		return err
	}
	sets, err := room.ParseObject(update.Value)
	if err != nil {
		return room.Invalid("%s: want an object", update.Name)
	}
	if len(sets) == 0 {
		return room.Invalid("%s: there is nothing to change", update.Name)
	}
	allowed := strings.Split(c.knobs.EditFields, ",")
	var known []room.Member
	for _, m := range sets {
		if slices.Contains(allowed, m.Name) {
			known = append(known, m)
		} else if !c.knobs.Lenient {
			return room.Invalid("%s: can't be changed; only %s can", m.Name, strings.Join(allowed, ", "))
		}
	}
	one, err := s.change(c, id, known, false)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, []contact{one}, false)
}

// edited reads the id and the changes of an edit, under the names that the settings allow.
func (c *call) edited(members []room.Member) (id string, update room.Member, err error) {
	spellings := [][2]string{namesCamel, namesSnake}
	switch c.knobs.EditNaming {
	case namingCamel:
		spellings = spellings[:1]
	case namingSnake:
		spellings = spellings[1:]
	}
	var found [2]room.Member
	for _, m := range members {
		if !editName(m.Name) && !c.knobs.Lenient {
			return "", update, room.Invalid("%s: an edit has %s and %s", m.Name, spellings[0][0], spellings[0][1])
		}
		for _, names := range spellings {
			i := slices.Index(names[:], m.Name)
			if i < 0 {
				continue
			}
			if found[i].Name != "" && string(found[i].Value) != string(m.Value) {
				return "", update, room.Invalid("%s and %s differ", found[i].Name, m.Name)
			}
			found[i] = m
		}
	}
	for i, m := range found {
		if m.Name == "" {
			return "", update, room.Invalid("%s is required", spellings[0][i])
		}
	}
	id, ok := found[0].Text()
	if !ok || strings.TrimSpace(id) == "" {
		return "", update, room.Invalid("%s: want a string, the id of a contact", found[0].Name)
	}
	return id, found[1], nil
}

// search answers GET /contacts. The document shows a GET with a body, which few tools send and many proxies drop, so
// the query is taken too, and first.
func (s *Simulator) search(c *call) error {
	by, term, err := c.searched()
	if err != nil {
		return err
	}
	if by == "" {
		return room.Invalid("searchby is required")
	}
	if term == "" {
		return room.Invalid("search is required")
	}
	// "Search must be a valid contact field", and which ones are valid is not said.
	if fields := append(createFields(), "id"); !slices.Contains(fields, by) {
		return room.Invalid("searchby: %q is none of %s", by, strings.Join(fields, ", "))
	}
	ids, err := s.match(by, term, &c.knobs)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return c.nothing(by, term)
	}
	id := func(one *contact) any { return onlyID{one.ID} }
	full := func(one *contact) any { return one.whole(&c.knobs) }
	shape := c.knobs.SearchAnswer
	switch {
	case shape == shapeFirst, shape == shapeSingle && len(ids) == 1:
		room.WriteJSON(c.w, http.StatusOK, onlyID{ids[0]})
		return nil
	case shape == shapeFull:
		return s.writeList(c, "", ids, full, "")
	case shape == shapeData:
		return s.writeList(c, `{"data":`, ids, full, "}")
	}
	return s.writeList(c, "", ids, id, "")
}

// searched reads what is searched for.
func (c *call) searched() (by, term string, err error) {
	if c.query.Has("searchby") || c.query.Has("search") || len(c.body) == 0 {
		for name, values := range c.query {
			if name != "searchby" && name != "search" && !c.knobs.Lenient {
				return "", "", room.Invalid("%s: a search has searchby and search", name)
			}
			if len(values) > 1 && !c.knobs.Lenient {
				return "", "", room.Invalid("%s is there twice", name)
			}
		}
		return c.query.Get("searchby"), c.query.Get("search"), nil
	}
	members, err := c.object()
	if err != nil {
		return "", "", err
	}
	for _, m := range members {
		ok := true
		switch m.Name {
		case "searchby":
			by, ok = m.Text()
		case "search":
			term, ok = m.Text()
		default:
			if !c.knobs.Lenient {
				return "", "", room.Invalid("%s: a search has searchby and search", m.Name)
			}
		}
		if !ok {
			return "", "", room.Invalid("%s: want a string", m.Name)
		}
	}
	return by, term, nil
}

// nothing answers a legacy search that found nothing, of which the document has no example.
func (c *call) nothing(by, term string) error {
	body := map[string]string{shapeSingle: "{}", shapeFirst: "{}", shapeArray: "[]", shapeFull: "[]", shapeData: `{"data":[]}`}[c.knobs.SearchAnswer]
	switch c.knobs.NoMatch {
	case "empty_object":
		body = "{}"
	case "empty_array":
		body = "[]"
	case "null":
		body = "null"
	case "404":
		return room.Refuse(http.StatusNotFound, "there is no contact with %s %s", by, term)
	}
	room.WriteRaw(c.w, http.StatusOK, []byte(body))
	return nil
}

// remove answers DELETE /contacts, with the id in the body, as documented, or in the query.
func (s *Simulator) remove(c *call) error {
	id := ""
	if c.knobs.deletesBy(byBody) && len(c.body) > 0 {
		members, err := c.object()
		if err != nil {
			return err
		}
		for _, m := range members {
			ok := true
			if m.Name == "contact_id" {
				id, ok = m.Text()
			} else if !c.knobs.Lenient {
				return room.Invalid("%s: a delete has contact_id alone", m.Name)
			}
			if !ok {
				return room.Invalid("contact_id: want a string")
			}
		}
	}
	if c.knobs.deletesBy(byQuery) {
		for _, name := range []string{"contact_id", "id"} {
			switch asked := c.query.Get(name); {
			case asked == "":
			case id == "":
				id = asked
			case id != asked:
				return room.Invalid("contact_id: %s and %s are two contacts", id, asked)
			}
		}
	}
	if strings.TrimSpace(id) == "" {
		return room.Invalid("contact_id is required")
	}
	return s.removeOne(c, id)
}

// removePath answers DELETE /contacts/{id}.
func (s *Simulator) removePath(c *call) error { return s.removeOne(c, c.args[0]) }

func (s *Simulator) removeOne(c *call, id string) error {
	if err := s.drop(c, id); err != nil {
		return err
	}
	const text = "Document deleted successfully"
	switch c.knobs.DeleteAnswer {
	case "object":
		room.WriteJSON(c.w, http.StatusOK, map[string]string{"message": text})
	case "json_string":
		room.WriteJSON(c.w, http.StatusOK, text)
	default:
		c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = c.w.Write([]byte(text))
	}
	return nil
}
