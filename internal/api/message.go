package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// What an error repeats of an answer, in bytes: of one for programs, and of a page for people.
const (
	maxMessage = 2 << 10
	maxPage    = 240
)

// looksHTML reports whether an answer is a page for people: none of the APIs sends one, so it comes from a proxy, a
// firewall or a login page.
func looksHTML(h http.Header, body []byte) bool {
	body = trimBOM(body)
	if len(body) > 0 {
		return body[0] == '<'
	}
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "text/html")
}

// blockedPage reports whether a refusal comes from before the API: by its type, or by the look of it.
func blockedPage(h http.Header, body []byte) bool {
	if looksHTML(h, body) {
		return true
	}
	t := strings.ToLower(h.Get("Content-Type"))
	return strings.Contains(t, "text/html") && !json.Valid(trimBOM(body))
}

// trimBOM drops a byte order mark and blanks before the first character.
func trimBOM(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
}

// failure returns the vendor's message if a 2xx answer says that it is none: a JSON object whose error or errors is
// there and not empty, or whose success or ok is false.
func failure(body []byte) (string, bool) {
	body = trimBOM(body)
	if len(body) == 0 || body[0] != '{' {
		return "", false
	}
	var o struct {
		Error  json.RawMessage `json:"error"`
		Errors json.RawMessage `json:"errors"`
		Good   json.RawMessage `json:"success"`
		OK     json.RawMessage `json:"ok"`
	}
	if json.Unmarshal(body, &o) != nil || blank(o.Error) && blank(o.Errors) && string(o.Good) != "false" && string(o.OK) != "false" {
		return "", false
	}
	if s := message(nil, body); s != "" {
		return s, true
	}
	return "the answer says that there was an error, not which", true
}

// blank reports whether a JSON value says nothing.
func blank(v json.RawMessage) bool {
	switch s := string(bytes.TrimSpace(v)); s {
	case "", "null", "false", `""`, "0", `"0"`, `"false"`:
		return true
	default:
		return len(s) >= 2 && (s[0] == '[' || s[0] == '{') && len(strings.TrimSpace(s[1:len(s)-1])) == 0
	}
}

// message returns what the body of an error says, in one line, whatever its shape: JSON of several styles, a page, or
// text. It is not redacted, nor cut.
func message(h http.Header, body []byte) string {
	body = trimBOM(body)
	if len(body) == 0 {
		return ""
	}
	if body[0] == '<' {
		return oneLine(page(body))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		if s := said(v, 0); s != "" {
			return oneLine(s)
		}
	}
	return oneLine(string(body))
}

// said finds the words in a decoded answer. Depth and breadth are bounded; what is left out was said already, or
// would help nobody.
func said(v any, depth int) string {
	const most = 20
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case []any:
		if depth > 4 {
			return ""
		}
		var parts []string
		for _, x := range v[:min(len(v), most)] {
			if s := said(x, depth+1); s != "" {
				parts = append(parts, s)
			}
		}
		if len(v) > most {
			parts = append(parts, fmt.Sprintf("%d more", len(v)-most))
		}
		return strings.Join(parts, "; ")
	case map[string]any:
		if depth > 4 {
			return ""
		}
		return saidObject(v, depth)
	}
	return ""
}

func saidObject(o map[string]any, depth int) string {
	get := func(names ...string) string {
		for _, n := range names {
			for _, k := range slices.Sorted(maps.Keys(o)) {
				if strings.EqualFold(k, n) {
					if s := said(o[k], depth+1); s != "" {
						return s
					}
				}
			}
		}
		return ""
	}
	text := get("message", "error_description", "detail", "description", "reason", "msg")
	code := get("error", "title", "errorCode", "error_code", "code")
	list := get("errors", "violations")
	field := get("field", "path", "property", "param")
	switch {
	case text == "":
		text = code
	case code != "" && !strings.Contains(text, code) && depth == 0:
		text += " (" + code + ")"
	}
	if list != "" && !strings.Contains(text, list) {
		if text != "" {
			text += ": "
		}
		text += list
	}
	if text != "" {
		if field != "" {
			return field + ": " + text
		}
		return text
	}
	if depth == 0 {
		return "" // an object without any of the usual names: the raw text tells more
	}
	// A map of fields to what is wrong with them.
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if s := said(o[k], depth+1); s != "" {
			parts = append(parts, k+": "+s)
		}
		if len(parts) == 20 {
			break
		}
	}
	return strings.Join(parts, "; ")
}

var (
	titleTag  = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	unseenTag = regexp.MustCompile(`(?is)<(?:script|style|head)\b.*?</(?:script|style|head)>`)
	anyTag    = regexp.MustCompile(`(?s)<[^>]*>`)
)

// page returns a page's title, or its words. They are cut where they are shown, after secrets were taken out: half a
// secret would not be found.
func page(body []byte) string {
	if m := titleTag.FindSubmatch(body); m != nil {
		if t := strings.TrimSpace(html.UnescapeString(string(m[1]))); t != "" {
			return t
		}
	}
	text := unseenTag.ReplaceAll(body, []byte(" "))
	return html.UnescapeString(string(anyTag.ReplaceAll(text, []byte(" "))))
}

// oneLine makes a stranger's text fit for a terminal and a CSV cell: valid UTF-8, no control characters.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut shortens s to at most n bytes, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	i := n - len(more)
	for i > 0 && s[i]&0xC0 == 0x80 {
		i--
	}
	return s[:i] + more
}
