package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := Marshal(v)
	if err != nil {
		WriteError(w, http.StatusInternalServerError, BodyJSON, err.Error())
		return
	}
	WriteRaw(w, status, b)
}

// WriteRaw answers with JSON that is there already.
func WriteRaw(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has gone is no failure of ours
}

// WriteError answers with an error: {"error":MESSAGE} as JSON, a page as a proxy would send it, or nothing. None of the
// vendors documents its errors in full, so the shape is this project's.
func WriteError(w http.ResponseWriter, status int, style BodyStyle, message string) {
	var body []byte
	switch style {
	case BodyHTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		text := fmt.Sprintf("%d %s", status, http.StatusText(status))
		body = fmt.Appendf(nil, "<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><center><h1>%s</h1></center><hr></body></html>\n", text, text)
	case BodyEmpty:
	default:
		b, err := Marshal(map[string]string{"error": message})
		if err == nil {
			body = b
		}
		w.Header().Set("Content-Type", "application/json")
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Marshal is json.Marshal that leaves <, > and & as they are.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// ReadBody reads a request's body, at most so many bytes of it. Its error is a *Refusal, with 413 of one that is larger.
func ReadBody(r *http.Request, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, Invalid("read the body: %v", err)
	}
	if int64(len(b)) > most {
		return nil, Refuse(http.StatusRequestEntityTooLarge, "the body is too large")
	}
	return b, nil
}

// NeedJSON refuses a request that does not say that its body is JSON, with the status.
func NeedJSON(r *http.Request, status int) error {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/json" {
		return Refuse(status, "want Content-Type: application/json")
	}
	return nil
}

// Member is one member of a JSON object.
type Member struct {
	Name  string
	Value json.RawMessage // without blanks around it
}

// ParseObject reads a JSON object, strictly: UTF-8, no name twice, nothing after it.
func ParseObject(body []byte) ([]Member, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	t, err := d.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	if t != json.Delim('{') {
		return nil, errors.New("the body is not a JSON object")
	}
	var out []Member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, jsonError(err)
		}
		name, ok := t.(string)
		if !ok {
			return nil, errors.New("the body is not valid JSON")
		}
		if seen[name] {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		m := Member{Name: name}
		if err := d.Decode(&m.Value); err != nil {
			return nil, jsonError(err)
		}
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the JSON object")
	}
	return out, nil
}

func jsonError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the body is not valid JSON: it ends too early")
	}
	return fmt.Errorf("the body is not valid JSON: %w", err)
}

// IsNull reports whether the value is null.
func (m Member) IsNull() bool { return string(m.Value) == "null" }

// Text returns the value if it is a string.
func (m Member) Text() (string, bool) {
	var s string
	if len(m.Value) == 0 || m.Value[0] != '"' || json.Unmarshal(m.Value, &s) != nil {
		return "", false
	}
	return s, true
}

// Texts returns the value if it is an array of strings; never nil if it is.
func (m Member) Texts() ([]string, bool) {
	var raw []json.RawMessage
	if len(m.Value) == 0 || m.Value[0] != '[' || json.Unmarshal(m.Value, &raw) != nil {
		return nil, false
	}
	out := make([]string, len(raw))
	for i, r := range raw {
		s, ok := Member{Value: r}.Text()
		if !ok {
			return nil, false
		}
		out[i] = s
	}
	return out, true
}

// Number returns the value as it was written if it is a number that a double can hold, if not precisely.
func (m Member) Number() (json.Number, bool) {
	if len(m.Value) == 0 || m.Value[0] != '-' && (m.Value[0] < '0' || m.Value[0] > '9') {
		return "", false
	}
	if _, err := strconv.ParseFloat(string(m.Value), 64); err != nil {
		return "", false
	}
	return json.Number(m.Value), true
}

// Integer returns the value if it is a whole number written as one.
func (m Member) Integer() (int64, bool) {
	n, err := strconv.ParseInt(string(m.Value), 10, 64)
	return n, err == nil
}

// WriteArray streams the documents as a JSON array. The whole is never in memory; with length, the client is told its size
// beforehand.
func WriteArray(w http.ResponseWriter, l List, length bool) {
	w.Header().Set("Content-Type", "application/json")
	Expect(w, l.Bytes()+int64(max(0, l.Len()-1))+2, length)
	buf := make([]byte, 0, 64<<10)
	buf = append(buf, '[')
	first := true
	for doc, err := range l.All() {
		if err != nil {
			// The status has left already: only a broken connection can say that this is not all.
			panic(http.ErrAbortHandler)
		}
		if len(buf)+len(doc)+2 > cap(buf) && len(buf) > 0 {
			if _, err := w.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
		if !first {
			buf = append(buf, ',')
		}
		first = false
		buf = append(buf, doc...)
	}
	_, _ = w.Write(append(buf, ']'))
}

// Alnum makes an id of so many letters and digits for the nth record of a space of ids, always the same.
func Alnum(space string, n int64, length int) string {
	return madeID(space, n, length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
}

// Digits makes an id of so many digits, the first not 0, for the nth record of a space of ids, always the same.
func Digits(space string, n int64, length int) string {
	b := []byte(madeID(space, n, length, "0123456789"))
	if len(b) > 0 && b[0] == '0' {
		b[0] = '9'
	}
	return string(b)
}

func madeID(space string, n int64, length int, alphabet string) string {
	out := make([]byte, 0, length)
	for block := uint64(0); len(out) < length; block++ {
		in := append(make([]byte, 0, 64), space...)
		in = binary.BigEndian.AppendUint64(in, uint64(n))
		in = binary.BigEndian.AppendUint64(in, block)
		sum := sha256.Sum256(in)
		for i := 0; i+4 <= len(sum) && len(out) < length; i += 4 {
			out = append(out, alphabet[binary.BigEndian.Uint32(sum[i:])%uint32(len(alphabet))])
		}
	}
	return string(out)
}
