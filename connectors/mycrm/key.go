package mycrm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/internal/delivery"
)

// How many of a number's last digits are searched for: those that stay when the country's code goes, and those that
// people write together.
const (
	nationalDigits = 9
	lastDigits     = 4
)

// keyText is what of a key is compared: the digits of a phone without the plus or the two noughts before a country's
// code, an e-mail address in lower case. A national number, 055…, is not that of any country: which one it would be in
// is a guess.
func (s *sink) keyText(text string) string {
	if s.layout.load.Key == "mobile" {
		return phoneDigits(text)
	}
	return strings.ToLower(text)
}

// keyTerms are the searches that show the lead of a key, however its mobile is spelled there.
func (s *sink) keyTerms(d *draft, key string) []term {
	if s.layout.load.Key != "mobile" {
		return slices.DeleteFunc(s.terms(d), func(t term) bool { return t.filter == "mobile" })
	}
	written := strings.TrimSpace(d.values[s.layout.slot("mobile")].Text())
	if !digitsOnly(key) {
		return []term{{"mobile", written}}
	}
	var list []term
	add := func(filter, value string) {
		if t := (term{filter, value}); value != "" && !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	tail := lastOf(key, lastDigits)
	add("mobile", tail)
	if s.parts.Load() && strings.Contains(written, tail) {
		return list
	}
	add("mobile", written)
	add("mobile", key)
	add("mobile", lastOf(key, nationalDigits))
	add("query", key)
	if !strings.HasPrefix(key, "0") {
		add("mobile", "+"+key)
		add("mobile", "00"+key)
	}
	return list
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func lastOf(s string, n int) string { return s[max(0, len(s)-n):] }

// learn looks at a lead that a search found: whether the vendor's filter for mobiles matches parts is not documented. If
// it does, the search for the last digits finds every spelling that has them together, and the others are not needed.
func (s *sink) learn(t term, tail string, have *lead) {
	mobile := have.Mobile.Text()
	if t.filter == "mobile" && t.value == tail && len(tail) < len(mobile) && strings.HasSuffix(mobile, tail) {
		s.parts.Store(true)
	}
}

// probe searches for the last digits of a lead that was just made, so that the others need fewer searches. If it fails,
// they need all of them.
func (s *sink) probe(ctx context.Context, key string) {
	if s.parts.Load() || s.layout.load.Key != "mobile" || !digitsOnly(key) || s.probes.Add(1) > workers {
		return
	}
	t := term{"mobile", lastOf(key, lastDigits)}
	_ = s.conn.all(ctx, listing{query: t.query()}, func(have *lead) error {
		s.learn(t, t.value, have)
		return nil
	})
}

// lookKey searches for the lead of a key in all of its spellings: a lead that the first one finds need not be the only
// one. The vendor's filters may match parts, so that what they find is compared here.
func (s *sink) lookKey(ctx context.Context, d *draft, key string) (delivery.Finding, error) {
	var ids, where []string
	tail := lastOf(key, lastDigits)
	for i, t := range s.keyTerms(d, key) {
		if i > 0 && s.parts.Load() && strings.HasSuffix(t.value, tail) {
			continue // the first search, for the last digits, has found what it could find
		}
		where = append(where, t.String())
		err := s.conn.all(ctx, listing{query: t.query()}, func(have *lead) error {
			id, got := have.ID.Text(), have.Mobile.Text()
			if s.layout.load.Key == "email" {
				got = have.Email.Text()
			} else {
				s.learn(t, tail, have)
			}
			if s.keyText(strings.TrimSpace(got)) == key && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
			return nil
		})
		if err != nil {
			return delivery.Finding{Answer: delivery.Unclear}, err
		}
	}
	note := strings.Join(where, " and ")
	switch len(ids) {
	case 0:
		return delivery.Finding{Answer: delivery.Absent, Note: note + " found no such lead"}, nil
	case 1:
		return delivery.Finding{Answer: delivery.Present, ID: ids[0], Note: note + " found it: " + ids[0]}, nil
	}
	return delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("more than one lead has this %s: %s", s.layout.load.Key, s.List(ids))}, nil
}
