package sandbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEndpoints(t *testing.T) {
	all := Endpoints[int]{
		{Path: "/contacts", Methods: map[string]int{"GET": 1}, Open: true},
		{Path: "/contacts/edit", Methods: map[string]int{"POST": 2}},
		{Path: "/contacts/{id}", Methods: map[string]int{"GET": 3}},
		{Path: "/contacts/{id}/notes/{note}"},
		{Path: "/contacts/{other}/notes/x"},
	}
	for _, c := range []struct {
		path string
		at   int // -1: none
		args []string
	}{
		{"/contacts", 0, nil},
		{"/contacts/edit", 1, nil}, // before {id}, which fits as well
		{"/contacts/7", 2, []string{"7"}},
		{"/contacts/a%2Fb%20c", 2, []string{"a/b c"}},
		{"/contacts/%7Bid%7D", 2, []string{"{id}"}},
		{"/contacts/{id}", 2, []string{"{id}"}},
		{"/contacts/7/notes/x", 3, []string{"7", "x"}},
		{"/contacts/%zz", -1, nil},
		{"/contacts/", -1, nil},
		{"/contacts//notes/1", -1, nil},
		{"/contacts/7/", -1, nil},
		{"/Contacts", -1, nil},
		{"/cont%61cts", -1, nil}, // a path is compared as it was sent
		{"contacts", -1, nil},
		{"/", -1, nil},
		{"", -1, nil},
	} {
		e, args, ok := all.Find(c.path)
		var want Endpoint[int]
		if c.at >= 0 {
			want = all[c.at]
		}
		if ok != (c.at >= 0) {
			t.Errorf("%s: %v", c.path, ok)
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("%s: %s", c.path, diff)
		}
		if diff := cmp.Diff(c.args, args); diff != "" {
			t.Errorf("%s: %s", c.path, diff)
		}
	}
}
