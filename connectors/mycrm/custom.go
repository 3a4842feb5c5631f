package mycrm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// definition is a custom field of the account.
type definition struct {
	ID        string
	Name      string
	Type      string // text, number, date, email, phone, boolean or URL, in lower case; "" is not known
	Mandatory bool
}

// UnmarshalJSON reads a definition as GET /fields has it.
func (d *definition) UnmarshalJSON(raw []byte) error {
	var o struct {
		ID        value `json:"id"`
		Name      value `json:"name"`
		Type      value `json:"type"`
		Mandatory value `json:"mandatory"`
	}
	err := json.Unmarshal(raw, &o)
	m := o.Mandatory.Text()
	*d = definition{ID: o.ID.Text(), Name: o.Name.Text(), Type: strings.ToLower(o.Type.Text()), Mandatory: m == "true" || m == "1"}
	return err
}

// catalogue is all custom fields of leads. One that can't be read knows none.
type catalogue struct {
	fields []definition
	closed error // why it can't be read, if the vendor does not let us
}

// catalogue returns the account's custom fields of leads; they are asked for once.
func (c *Conn) catalogue(ctx context.Context) (*catalogue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.customs != nil {
		return c.customs, nil
	}
	cat, err := c.loadCatalogue(ctx)
	if err != nil {
		return nil, err
	}
	c.customs = cat
	return cat, nil
}

// loadCatalogue reads GET /fields, page by page if it has pages.
func (c *Conn) loadCatalogue(ctx context.Context) (*catalogue, error) {
	cat := &catalogue{}
	for page := 1; ; page++ {
		query := url.Values{"filters[resource]": {"lead"}, "per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)}}
		body, err := c.read(ctx, "/fields", query, false, nil)
		if err != nil {
			var known *api.Error
			if errors.As(err, &known) && (known.Class == api.Permission || known.Class == api.NotFound || known.Status == http.StatusMethodNotAllowed) {
				return &catalogue{closed: err}, nil
			}
			return nil, err
		}
		list, count, err := parseFields(body)
		if err != nil {
			return nil, &api.Error{Op: "GET /fields", Class: api.Protocol, Message: err.Error(), Err: err}
		}
		fresh := 0
		for _, d := range list {
			if _, known := cat.byID(d.ID); !known && d.ID != "" {
				cat.fields = append(cat.fields, d)
				fresh++
			}
		}
		if fresh == 0 || int64(len(cat.fields)) >= count {
			return cat, nil
		}
	}
}

// parseFields reads a list of definitions; the envelope is not documented.
func parseFields(body []byte) (list []definition, count int64, err error) {
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		err = json.Unmarshal(body, &list)
		return list, int64(len(list)), err
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, 0, fmt.Errorf("the custom fields can't be read: %w", err)
	}
	for _, name := range []string{"fields", "field", "custom_fields", "data"} {
		raw, ok := o[name]
		if !ok || len(raw) == 0 || raw[0] != '[' {
			continue
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, 0, fmt.Errorf("the custom fields can't be read: %w", err)
		}
		if n, err := strconv.ParseInt(string(o["count"]), 10, 64); err == nil {
			return list, n, nil
		}
		return list, int64(len(list)), nil
	}
	return nil, 0, errors.New("the answer holds no list of custom fields")
}

func (cat *catalogue) byID(id string) (*definition, bool) {
	for i := range cat.fields {
		if cat.fields[i].ID == id {
			return &cat.fields[i], true
		}
	}
	return nil, false
}

// find finds a custom field by its id or its name: just so, or with case, blanks, "_" and "-" aside.
func (cat *catalogue) find(name string) (*definition, error) {
	if d, ok := cat.byID(name); ok {
		return d, nil
	}
	var exact, loose []*definition
	for i := range cat.fields {
		d := &cat.fields[i]
		if d.Name == name {
			exact = append(exact, d)
		}
		if schema.Fold(d.Name) == schema.Fold(name) {
			loose = append(loose, d)
		}
	}
	if len(exact) == 0 {
		exact = loose
	}
	switch len(exact) {
	case 1:
		return exact[0], nil
	case 0:
		return nil, fmt.Errorf("field %s%s: the account has no such custom field%s", familyPrefix, name, cat.hint(name))
	}
	var ids []string
	for _, d := range exact {
		ids = append(ids, familyPrefix+d.ID)
	}
	return nil, fmt.Errorf("field %s%s: the account has several custom fields of that name; use one of %s", familyPrefix, name, strings.Join(ids, ", "))
}

func (cat *catalogue) hint(name string) string {
	var names, all []string
	for _, d := range cat.fields {
		names = append(names, d.Name)
		all = append(all, fmt.Sprintf("%s (%s)", d.Name, d.ID))
	}
	if meant := near.Name(name, names); meant != "" {
		return fmt.Sprintf("; did you mean %s%s?", familyPrefix, meant)
	}
	switch {
	case len(all) == 0:
		return "; it has none at all"
	case len(all) > 30:
		return fmt.Sprintf("; it has %d", len(all))
	}
	return "; it has " + strings.Join(all, ", ")
}

// Prepare holds the custom fields that an import names against those that the account has: all that are not there, or
// that several could be meant by, are reported at once. It makes a call only if a field of the family fields.* is mapped.
func (c *Conn) Prepare(ctx context.Context, object string, load schema.Load) error {
	l, err := newLayout(object, load, c.shape)
	if err != nil {
		return err
	}
	return c.resolve(ctx, l)
}

// define gives a column the definition of its custom field. Where definitions can't be read, a column that is named by an
// id keeps what it has.
func (cat *catalogue) define(col *column) error {
	name := strings.TrimPrefix(col.name, familyPrefix)
	if cat.closed != nil {
		if !digits(name) {
			return fmt.Errorf("field %s: which custom field that is can't be looked up (%w); name it by its id", col.name, cat.closed)
		}
		return nil
	}
	d, err := cat.find(name)
	if err == nil {
		col.meta = d
	}
	return err
}

// resolve gives the custom fields of a layout their definitions.
func (c *Conn) resolve(ctx context.Context, l *layout) error {
	if len(l.custom) == 0 && !slices.ContainsFunc(l.spare, func(s spare) bool { return s.slot < 0 }) {
		return nil
	}
	cat, err := c.catalogue(ctx)
	if err != nil {
		return err
	}
	var problems []error
	taken := map[string]string{}
	for i := range l.custom {
		col := &l.custom[i]
		if err := cat.define(col); err != nil {
			problems = append(problems, err)
			continue
		}
		if other, twice := taken[col.meta.ID]; twice {
			problems = append(problems, fmt.Errorf("fields %s and %s are the same custom field, %s", other, col.name, col.meta.ID))
		}
		taken[col.meta.ID] = col.name
	}
	problems = append(problems, l.resolveDefaults(cat)...)
	if cat.closed != nil && len(problems) == 0 && l.load.Warn != nil {
		l.load.Warn(fmt.Sprintf("the account's custom fields can't be read, so that their values are sent as they are: %v", cat.closed))
	}
	if l.load.Mode == schema.Create {
		for _, d := range cat.fields {
			if _, ok := taken[d.ID]; d.Mandatory && !ok {
				problems = append(problems, fmt.Errorf("field %s%s (%s): the account asks for this custom field, and no column is mapped to it", familyPrefix, d.ID, d.Name))
			}
		}
	}
	return errors.Join(problems...)
}

// customLacks are the mandatory custom fields that a lead has no value for. A new lead is held against all of them; one
// that is there, against those that the row clears.
func (c *Conn) customLacks(d *draft, created bool) []string {
	c.mu.Lock()
	cat := c.customs
	c.mu.Unlock()
	if cat == nil {
		return nil
	}
	var list []string
	for _, f := range cat.fields {
		if !f.Mandatory {
			continue
		}
		missing := created
		for _, x := range d.custom {
			if x.id == f.ID {
				missing = x.value.IsEmpty()
			}
		}
		if missing {
			list = append(list, familyPrefix+f.ID)
		}
	}
	return list
}

func (d *definition) rule() string {
	if d.Type == "" {
		return string(schema.Text)
	}
	return d.Type
}

// fit gives a value the form of the field's type.
func (d *definition) fit(v record.Value) (record.Value, error) {
	text := strings.TrimSpace(v.Cell())
	switch d.Type {
	case "boolean", "bool":
		switch strings.ToLower(text) {
		case "true", "yes", "1":
			return record.BoolOf(true), nil
		case "false", "no", "0":
			return record.BoolOf(false), nil
		}
		return v, fmt.Errorf("%q is neither true nor false, which the account's field %q holds", text, d.Name)
	case "number", "integer", "float":
		n, err := record.ParseJSON([]byte(text))
		if err != nil || n.Kind() != record.Number {
			return v, fmt.Errorf("%q is no plain number such as 1250.5, which the account's field %q holds", text, d.Name)
		}
		return n, nil
	case "date":
		day, _, _ := strings.Cut(text, "T")
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return v, fmt.Errorf("%q is no date such as 2026-01-31, which the account's field %q holds; apply: [{date: DD/MM/YYYY}] reads others", text, d.Name)
		}
		return record.TextOf(day), nil
	}
	switch v.Kind() {
	case record.Bool, record.Number:
		if d.Type == "" {
			return v, nil // nobody knows better than the file
		}
	}
	return record.TextOf(v.Cell()), nil
}
