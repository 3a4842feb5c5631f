package mappconnect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

// streak is what the vendor has refused since it last took a call.
type streak struct {
	taken  bool   // it has taken a call in this run
	events int    // refused one by one, in the same words
	words  string // those words, see alike
	calls  int    // refused, of one event or of many
}

// When the fault is not sought in the rows any more: after so many events that were refused with the same words, if
// nothing was taken before; and after so many refused calls in a row, whatever their words.
const (
	hopeless     = 20
	hopelessCall = 200
)

func (s *sink) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streak = streak{taken: true}
	s.lost = 0
}

// count counts an event that was refused by itself.
func (s *sink) count(res delivery.Result) error {
	words := alike(res.Problem.Message)
	s.mu.Lock()
	k := &s.streak
	if k.words != words {
		k.words, k.events = words, 0
	}
	k.events++
	n, taken := k.events, k.taken
	s.mu.Unlock()
	switch {
	case s.limit > 0 && !taken && n >= min(hopeless, s.limit):
		return s.stop(res, fmt.Sprintf("the first %d events were all refused in the same way", n))
	case s.limit > 0 && n > s.limit:
		return s.stop(res, fmt.Sprintf("%d events one after the other were refused in the same way", n))
	}
	return s.refused(res)
}

// refused counts a refused call.
func (s *sink) refused(res delivery.Result) error {
	s.mu.Lock()
	s.streak.calls++
	n := s.streak.calls
	s.mu.Unlock()
	if s.limit == 0 || n <= hopelessCall {
		return nil
	}
	return s.stop(res, fmt.Sprintf("%d calls one after the other were refused", n))
}

// stop ends the run over refusals that are most likely not about the rows, which stay as they were.
func (s *sink) stop(res delivery.Result, what string) error {
	err := &api.Error{Op: res.Err.Op, Class: api.Setup, Status: res.Status, Err: res.Err,
		Message: fmt.Sprintf("%s, so it is most likely not the rows: check the integration, its mapping of subtype %s and the names of the fields, and resume; if it is the rows after all, set %s=0; the vendor says: %s",
			what, s.query.Get("subtype"), keyRefusals, res.Err.Message)}
	s.Halt(err)
	return err
}

// alike is what two messages share that differ only in what they quote and in words with digits or addresses in them.
func alike(message string) string {
	var b strings.Builder
	for rest := message; rest != ""; {
		r := []rune(rest[:min(len(rest), 8)])[0]
		if end := closing[r]; end != "" && (b.Len() == 0 || strings.HasSuffix(b.String(), " ")) {
			if _, after, ok := strings.Cut(rest[len(string(r)):], end); ok {
				b.WriteString("… ")
				rest = after
				continue
			}
		}
		n := strings.IndexFunc(rest, unicode.IsSpace)
		if n < 0 {
			n = len(rest)
		}
		word := rest[:n]
		rest = strings.TrimLeftFunc(rest[n:], unicode.IsSpace)
		if strings.ContainsFunc(word, unicode.IsDigit) || strings.Contains(word, "@") {
			word = "…"
		}
		b.WriteString(word)
		b.WriteByte(' ')
	}
	return b.String()
}

// closing are the marks that end a quotation, by the one that begins it.
var closing = map[rune]string{'"': `"`, '\'': `'`, '`': "`", '“': "”", '‘': "’", '«': "»", '(': ")", '[': "]"}

// read looks for a refusal in an answer that calls itself a success. One that names the places of the events it means,
// beyond doubt, and not all of them, is returned: why, by the event's place in the call, from 0. Any other makes the
// whole call refused. What an answer looks like is not documented; the objects of the vendor's feedback have errorCode
// and description.
func (s *sink) read(res *delivery.Result, events int) map[int]string {
	body := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(res.Body), []byte("\xef\xbb\xbf")))
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return nil
	}
	var list []json.RawMessage
	if body[0] == '{' {
		list = []json.RawMessage{body}
	} else if json.Unmarshal(body, &list) != nil {
		return nil
	}
	var all, bad []complaint
	for _, raw := range list {
		var c complaint
		if json.Unmarshal(raw, &c) != nil {
			continue
		}
		if all = append(all, c); c.is() {
			bad = append(bad, c)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if body[0] == '[' {
		if some := places(all, events); len(some) == len(bad) && len(some) < events {
			return some
		}
	}
	res.Verdict = delivery.Refused
	res.Problem = s.problem(bad[0].words(), res.Status)
	op := "POST /event"
	if events > 1 {
		op += "/batch"
	}
	res.Err = &api.Error{Op: op + "?" + s.query.Encode(), Class: api.Invalid, Status: res.Status, Message: bad[0].words()}
	return nil
}

// complaint is an object of an answer that says what went wrong.
type complaint struct {
	ErrorCode   json.RawMessage `json:"errorCode"`
	Error       json.RawMessage `json:"error"`
	Errors      json.RawMessage `json:"errors"`
	Index       *int            `json:"index"`
	Message     string          `json:"message"`
	Description string          `json:"description"`
}

func (c *complaint) is() bool {
	return says(c.ErrorCode) != "" || says(c.Error) != "" || says(c.Errors) != ""
}

// words is what the complaint says, on one line.
func (c *complaint) words() string {
	var parts []string
	for _, s := range []string{says(c.ErrorCode), says(c.Error), says(c.Errors), c.Message, c.Description} {
		if s = delivery.Excerpt([]byte(s)); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// says is the text of a JSON value, "" if it says that there is no error.
func says(raw json.RawMessage) string {
	text := string(bytes.TrimSpace(raw))
	if s, err := strconv.Unquote(text); err == nil {
		text = strings.TrimSpace(s)
	}
	switch strings.ToLower(text) {
	case "null", "false", "0", "none", "ok", "success", "[]", "{}":
		return ""
	}
	return text
}

// places returns what is wrong with which events, nil if it can't be told: no event is named twice, and the indexes show
// whether they count from 0 or from 1.
func places(all []complaint, events int) map[int]string {
	seen := map[int]bool{}
	least, most := events, 0
	for _, c := range all {
		if c.Index == nil {
			continue
		}
		at := *c.Index
		if seen[at] {
			return nil
		}
		seen[at] = true
		least, most = min(least, at), max(most, at)
	}
	base := 0
	switch {
	case least == 0 && most < events:
	case least > 0 && most == events:
		base = 1
	default:
		return nil
	}
	some := map[int]string{}
	for _, c := range all {
		if c.Index != nil && c.is() {
			some[*c.Index-base] = c.words()
		}
	}
	return some
}

// problem is what a refusal with these words says about a row.
func (s *sink) problem(words string, status int) record.Problem {
	p := record.Problem{Rule: "vendor", Message: fmt.Sprintf("the vendor says: %s (%d)", words, status)}
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '.' }) {
		for i := range s.layout.header.Len() {
			if name := s.layout.header.Name(i); strings.EqualFold(strings.Trim(word, "."), name) {
				p.Field = name
				return p
			}
		}
	}
	return p
}
