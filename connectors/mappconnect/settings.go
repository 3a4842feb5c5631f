package mappconnect

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/crmetl/crmetl/schema"
)

// Values of settings that are words.
const (
	unitAuto  = "auto"
	unitS     = "s"
	unitMS    = "ms"
	asString  = "string"
	asNumber  = "number"
	asBoolean = "boolean"
	emptyNull = "null"
	emptyText = `""`
)

// Subtypes whose names the vendor does not document.
const (
	guessedBrowse  = "abandonedbrowse"
	guessedRelated = "relateddata"
)

const (
	defaultBytes = 1 << 20
	leastBytes   = 1 << 10

	defaultRefusals = 60
)

// settings are a connection's own, read.
type settings struct {
	base        *url.URL // up to and with integration/ID
	integration string
	secret      string
	unit        string
	ttl         time.Duration
	timeout     time.Duration
	rate        float64
	batchSize   int
	batchBytes  int
	refusals    int               // events refused in the same words before the run stops; 0: any number
	subtypes    map[string]string // by object
	style       style
}

// style is how events are written. The zero value is the document's.
type style struct {
	names     map[string]string // field → its name in calls
	numbers   bool              // numbers as numbers
	booleans  bool              // flags as true and false
	emptyText bool              // "" instead of null
}

func readSettings(conn schema.Connection) (*settings, error) {
	set := conn.Read()
	s := &settings{integration: set.Text(keyIntegration, ""), secret: conn.Settings[keySecret]}
	base := set.Text(keyBaseURL, "")
	for _, k := range []struct{ key, value string }{{keyBaseURL, base}, {keyIntegration, s.integration}, {keySecret, s.secret}} {
		if k.value == "" {
			set.Bad(fmt.Errorf("it has no %s: set CRMETL_MAPPCONNECT_%s, or %s in the config file", k.key, strings.ToUpper(k.key), k.key))
		}
	}
	var err error
	if base != "" && s.integration != "" {
		s.base, err = baseURL(base, s.integration)
		set.Bad(err)
	}
	s.ttl = set.Duration(keyTTL, defaultTTL, time.Second)
	s.timeout = set.Duration(keyTimeout, defaultTimeout, 0)
	s.rate = set.Rate(keyRate, 0)
	s.batchSize = set.Whole(keyBatchSize, maxBatch, 1, maxBatch)
	s.batchBytes = set.Whole(keyBatchBytes, defaultBytes, leastBytes, 1<<30)
	s.refusals = set.Whole(keyRefusals, defaultRefusals, 0, 1<<30)
	s.unit = set.Choice(keyExpUnit, unitAuto, unitS, unitMS)
	s.style, err = readStyle(conn.Settings)
	set.Bad(err)
	s.subtypes, err = subtypes(set.Text(keySubtypes, ""))
	set.Bad(err)
	return s, set.Err()
}

// readStyle reads how events are written; what is not set is the document's.
func readStyle(of map[string]string) (style, error) {
	set := schema.Connection{Settings: of}.Read()
	st := style{
		numbers:   set.Choice(keyNumbers, asString, asNumber) == asNumber,
		booleans:  set.Choice(keyFlags, asString, asBoolean) == asBoolean,
		emptyText: set.Choice(keyEmpty, emptyNull, emptyText) == emptyText,
	}
	names, err := renames(keyFields, set.Text(keyFields, ""))
	if err == nil {
		err = misspelt(names)
	}
	set.Bad(err)
	st.names = names
	return st, set.Err()
}

// clusters are the vendor's hosts by the names of their clusters.
var clusters = map[string]string{
	"eu-l3":  "https://jamie.g.shortest-route.com/charon",
	"us-l3":  "https://jamie.a.shortest-route.com/charon",
	"emc":    "https://jamie.h.shortest-route.com/charon",
	"emc-us": "https://jamie.c.shortest-route.com/charon",
}

const apiPath = "/api/v1"

// baseURL reads the address of the API, with or without /api/v1 at its end, or with all of the integration's path.
func baseURL(s, integration string) (*url.URL, error) {
	if host, ok := clusters[strings.ToLower(s)]; ok {
		s = host
	}
	s = strings.TrimRight(s, "/")
	path := apiPath + "/integration/" + url.PathEscape(integration)
	if at := strings.Index(s, apiPath+"/integration/"); at >= 0 && s[at:] != path {
		return nil, fmt.Errorf("base_url ends in another integration than integration_id says; leave out what follows %s", apiPath)
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, path), apiPath)
	u, err := url.Parse(s + path)
	if err != nil {
		return nil, fmt.Errorf("base_url: %w", err)
	}
	return u, nil // the rest is checked by the api
}

// renames reads "email=mail,userId=userID".
func renames(key, s string) (map[string]string, error) {
	names := map[string]string{}
	to := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, name, ok := strings.Cut(part, "=")
		from, name = strings.TrimSpace(from), strings.TrimSpace(name)
		if !ok || from == "" || name == "" {
			return nil, fmt.Errorf("%s: %q is not of the form name=name", key, part)
		}
		if _, twice := names[from]; twice {
			return nil, fmt.Errorf("%s: %s stands there twice", key, from)
		}
		if other, twice := to[name]; twice {
			return nil, fmt.Errorf("%s: both %s and %s become %s", key, other, from, name)
		}
		names[from], to[name] = name, from
	}
	return names, nil
}

// misspelt finds names that only differ from a field's in how they are written: they would rename nothing. Any other name
// may be that of a column which passes.
func misspelt(names map[string]string) error {
	var problems []error
	for from := range names {
		if isField(from) {
			continue
		}
		for _, o := range Schema().Objects {
			at := slices.IndexFunc(o.Fields, func(f schema.Field) bool { return len(o.Modes) > 0 && schema.Fold(f.Name) == schema.Fold(from) })
			if at >= 0 {
				problems = append(problems, fmt.Errorf("%s: there is no field %s; did you mean %s?", keyFields, from, o.Fields[at].Name))
				break
			}
		}
	}
	return errors.Join(problems...)
}

// isField reports whether an object that is imported has a field of that name.
func isField(name string) bool {
	for _, o := range Schema().Objects {
		if _, ok := o.Field(name); ok && len(o.Modes) > 0 {
			return true
		}
	}
	return false
}

// subtypes returns the name of each object in calls.
func subtypes(s string) (map[string]string, error) {
	names := map[string]string{objBrowse: guessedBrowse, objRelated: guessedRelated}
	var known []string
	for _, o := range Schema().Objects {
		if len(o.Modes) == 0 {
			continue
		}
		known = append(known, o.Name)
		if names[o.Name] == "" {
			names[o.Name] = o.Name
		}
	}
	given, err := renames(keySubtypes, s)
	if err != nil {
		return nil, err
	}
	for object, name := range given {
		at := slices.IndexFunc(known, func(k string) bool { return schema.Fold(k) == schema.Fold(object) })
		if at < 0 {
			return nil, fmt.Errorf("%s: there is no object %q; there are %s", keySubtypes, object, strings.Join(known, ", "))
		}
		names[known[at]] = name
	}
	return names, nil
}

// guessed reports whether an object's name in calls is a guess of ours.
func (s *settings) guessed(object string) bool {
	return object == objBrowse && s.subtypes[object] == guessedBrowse || object == objRelated && s.subtypes[object] == guessedRelated
}
