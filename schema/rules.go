package schema

import (
	"fmt"
	"slices"
	"strings"
)

// rule is one rule of a field, as in validator/v10's language: name or name=param, or several of them joined by "|".
type rule struct {
	name  string // "" if the rule has alternatives
	param string
	text  string // as written, without what belongs to the list around it: "max=255"
	item  bool   // it holds for each item of a list: it stood after dive
	omit  bool   // empty items are passed over
	alts  []rule // the alternatives of a|b
}

// refusedRules are rules of the language that make no sense for a cell of a file, with the reason.
var refusedRules = map[string]string{
	"-": "it switches checks off", "structonly": "it is for Go structs", "nostructlevel": "it is for Go structs",
	"keys": "it is for Go maps", "endkeys": "it is for Go maps", "validateFn": "it is for Go types",
	"skip_unless": "use required_if", "isdefault": "use excluded_with or excluded_if",
	"eqcsfield": "use eqfield", "necsfield": "use nefield", "gtcsfield": "use gtfield", "gtecsfield": "use gtefield",
	"ltcsfield": "use ltfield", "ltecsfield": "use ltefield",
	"file": "a check must not read files", "dir": "a check must not read files", "image": "a check must not read files",
	"tcp_addr": "a check must not use the network", "tcp4_addr": "a check must not use the network",
	"tcp6_addr": "a check must not use the network", "udp_addr": "a check must not use the network",
	"udp4_addr": "a check must not use the network", "udp6_addr": "a check must not use the network",
	"ip_addr": "a check must not use the network", "ip4_addr": "a check must not use the network",
	"ip6_addr": "a check must not use the network", "unix_addr": "a check must not use the network",
	"uds_exists": "a check must not read files",
}

// parseRules splits rules into single ones, so that each can fail on its own.
func parseRules(text string) ([]rule, error) {
	var rules []rule
	item, omit := false, false
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		switch part {
		case "":
			if strings.TrimSpace(text) == "" {
				return nil, nil
			}
			return nil, fmt.Errorf("there is an empty rule in %q", text)
		case "omitempty", "omitnil", "omitzero":
			// A value that is missing is not checked anyway; an empty item of a list would be.
			omit = item
			continue
		case "dive":
			if item {
				return nil, fmt.Errorf("rule dive stands twice in %q: lists of lists are not supported", text)
			}
			item = true
			continue
		}
		r := rule{text: part, item: item, omit: omit}
		if alts := strings.Split(part, "|"); len(alts) > 1 {
			for _, a := range alts {
				alt := rule{text: a, item: item}
				alt.name, alt.param = cutRule(a)
				r.alts = append(r.alts, alt)
			}
		} else {
			r.name, r.param = cutRule(part)
		}
		for _, n := range r.names() {
			if why, ok := refusedRules[n]; ok {
				return nil, fmt.Errorf("rule %s can't be used here: %s", n, why)
			}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func cutRule(text string) (name, param string) {
	name, param, _ = strings.Cut(text, "=")
	return name, strings.NewReplacer("0x2C", ",", "0x7C", "|").Replace(param)
}

func (r *rule) names() []string {
	if r.alts == nil {
		return []string{r.name}
	}
	names := make([]string, len(r.alts))
	for i := range r.alts {
		names[i] = r.alts[i].name
	}
	return names
}

// tag returns the rule as validator reads it, with params in place of its own ones if any are given.
func (r *rule) tag(params ...string) string {
	text := r.text
	if len(params) > 0 {
		text = r.name + "=" + strings.Join(params, " ")
	}
	if r.item {
		if r.omit {
			return "dive,omitempty," + text
		}
		return "dive," + text
	}
	return text
}

// onMissing reports whether the rule says something about a value that is not there.
func (r *rule) onMissing() bool {
	return !r.item && (strings.HasPrefix(r.name, "required") || strings.HasPrefix(r.name, "excluded"))
}

// refersTo tells how the rule's parameter names other fields.
func (r *rule) refersTo() reference {
	switch r.name {
	case "required_with", "required_with_all", "required_without", "required_without_all",
		"excluded_with", "excluded_with_all", "excluded_without", "excluded_without_all":
		return namesPresence
	case "required_if", "required_unless", "excluded_if", "excluded_unless":
		return namesValues
	case "eqfield", "nefield", "gtfield", "gtefield", "ltfield", "ltefield", "fieldcontains", "fieldexcludes",
		"postcode_iso3166_alpha2_field":
		return namesOther
	}
	return namesNothing
}

// reference is how a rule's parameter names other fields.
type reference uint8

const (
	namesNothing  reference = iota
	namesPresence           // fields that are there or not: required_without=company
	namesValues             // pairs of a field and a value: required_if=status sold
	namesOther              // one field that the value is held against: gtefield=from_price
)

// params splits a parameter at blanks as validator does; 'single quotes' keep a value with blanks together.
func (r *rule) params() []string {
	var list []string
	s := r.param
	for {
		s = strings.TrimLeft(s, " \t\n\f\r")
		if s == "" {
			return list
		}
		end := strings.IndexAny(s, " \t\n\f\r")
		if s[0] == '\'' {
			if i := strings.IndexByte(s[1:], '\''); i >= 0 {
				end = i + 2
			}
		}
		if end < 0 {
			end = len(s)
		}
		list = append(list, strings.ReplaceAll(s[:end], "'", ""))
		s = s[end:]
	}
}

// fields returns the names of other fields in the rule.
func (r *rule) fields() []string {
	p := r.params()
	switch r.refersTo() {
	case namesPresence:
		return p
	case namesOther:
		return p[:min(1, len(p))]
	case namesValues:
		var names []string
		for i := 0; i+1 < len(p); i += 2 {
			names = append(names, p[i])
		}
		return names
	}
	return nil
}

// oneofRule is the rule that the choices of an Enum stand for. ok is false if they can't be written in the language.
func oneofRule(values []string) (r rule, ok bool) {
	quoted := make([]string, len(values))
	for i, v := range values {
		if v == "" || strings.Contains(v, "'") {
			return rule{}, false
		}
		quoted[i] = "'" + v + "'"
	}
	param := strings.Join(quoted, " ")
	text := strings.NewReplacer(",", "0x2C", "|", "0x7C").Replace(param)
	return rule{name: "oneof", param: param, text: "oneof=" + text}, len(values) > 0
}

// rulesOf returns the rules of a field in a mode: what holds in the mode, also for a missing value, and what holds
// for every value that is there.
func (f *Field) rulesOf(m Mode) (inMode, always []rule, err error) {
	if inMode, err = parseRules(f.In[m]); err != nil {
		return nil, nil, err
	}
	if always, err = parseRules(f.Rules); err != nil {
		return nil, nil, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(always, func(r rule) bool { return slices.Contains(r.names(), name) })
	}
	if len(f.Values) > 0 && (f.Type == Enum || f.Type == List) && !has("oneof") && !has("oneofci") {
		r, ok := oneofRule(f.Values)
		if !ok {
			return nil, nil, fmt.Errorf("its choices can't be checked: one of them is empty or holds a single quote")
		}
		r.item = f.Type == List
		always = append([]rule{r}, always...)
	}
	return inMode, always, nil
}
