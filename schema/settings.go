package schema

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings reads the settings of one connection as what they mean, and gathers what is wrong with them, so that the user
// hears of everything at once. What a method returns for a setting that is wrong does no harm, and means nothing: Err has
// the last word. It is for one goroutine.
type Settings struct {
	conn     Connection
	problems []error
}

// Read begins to read the settings of the connection.
func (c Connection) Read() *Settings { return &Settings{conn: c} }

// Err returns all that was found wrong, nil if nothing was.
func (s *Settings) Err() error { return errors.Join(s.problems...) }

// Bad gathers what is wrong, under the connection's name if it has one. A nil error is nothing wrong.
func (s *Settings) Bad(err error) {
	switch {
	case err == nil:
	case s.conn.Name == "":
		s.problems = append(s.problems, err)
	default:
		s.problems = append(s.problems, fmt.Errorf("connection %s: %w", s.conn.Name, err))
	}
}

// Missing gathers that a setting of the vendor has no value.
func (s *Settings) Missing(of *Vendor, key string) {
	s.problems = append(s.problems, fmt.Errorf("connection %s has no %s: set %s, or %s in the config file", s.conn.Name, key, of.EnvName(key), key))
}

// Text reads a setting without its outer blanks; def if it is not set.
func (s *Settings) Text(key, def string) string {
	if v := strings.TrimSpace(s.conn.Settings[key]); v != "" {
		return v
	}
	return def
}

// Choice reads a setting that is one of a few words, the first of them if it is not set. The words are in lower case, and
// case does not count.
func (s *Settings) Choice(key string, words ...string) string {
	text := s.Text(key, words[0])
	v := strings.ToLower(text)
	if !slices.Contains(words, v) {
		s.Bad(fmt.Errorf("%s %q is none of %s", key, text, strings.Join(words, ", ")))
	}
	return v
}

// Duration reads a setting such as 10s, or a bare number of seconds, which is at least so much.
func (s *Settings) Duration(key, def string, least time.Duration) time.Duration {
	text := s.Text(key, def)
	d, err := time.ParseDuration(text)
	if n, bare := strconv.ParseFloat(text, 64); bare == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err == nil && d >= least {
		return d
	}
	atLeast := ""
	if least > 0 {
		atLeast = fmt.Sprintf(" of at least %v", least)
	}
	s.Bad(fmt.Errorf("%s %q is no duration%s; write it like %s", key, text, atLeast, def))
	return 0
}

// Rate reads a setting that is a number of requests a second above 0, or def if it is not set; def may be 0, for no limit.
func (s *Settings) Rate(key string, def float64) float64 {
	text := s.Text(key, "")
	if text == "" {
		return def
	}
	rate, err := strconv.ParseFloat(text, 64)
	if err == nil && rate > 0 && rate <= 1e6 {
		return rate
	}
	s.Bad(fmt.Errorf("%s %q is no number of requests a second above 0", key, text))
	return 0
}

// Whole reads a setting that is a whole number from least to most.
func (s *Settings) Whole(key string, def, least, most int) int {
	text := s.Text(key, strconv.Itoa(def))
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		s.Bad(fmt.Errorf("%s %q is no whole number from %d to %d", key, text, least, most))
	}
	return n
}

// URL reads the address of an API, without the slashes at its end. Whether calls may go there is for the client to say.
func (s *Settings) URL(key, def string) *url.URL {
	u, err := url.Parse(strings.TrimRight(s.Text(key, def), "/"))
	if err != nil {
		s.Bad(fmt.Errorf("%s: %w", key, err))
		return &url.URL{}
	}
	return u
}
