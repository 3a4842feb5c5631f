package record

import "strings"

// Guard returns a cell's text so that no spreadsheet runs it as a formula: one that begins like a formula gets an
// apostrophe in front. Phones and negative numbers stay as they are. Bare takes the apostrophe away again; a text that
// begins with one and then like a formula gets another, so that every text comes back as it was.
func Guard(s string) string {
	rest := strings.TrimLeft(s, "'")
	if !startsFormula(rest) || len(rest) == len(s) && harmless(s) {
		return s
	}
	return "'" + s
}

// Bare returns the text that Guard was given.
func Bare(s string) string {
	if s == "" || s[0] != '\'' || !startsFormula(strings.TrimLeft(s, "'")) {
		return s
	}
	return s[1:]
}

// startsFormula reports whether spreadsheets may take a cell with this beginning for a formula or a command.
func startsFormula(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	case 0xEF: // the wide forms of = + - @, which some spreadsheets read as the narrow ones
		return strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠")
	}
	return false
}

// harmless reports whether a text that begins with a sign is a phone or a number: nothing but digits and what stands
// between them.
func harmless(s string) bool {
	if s[0] != '+' && s[0] != '-' {
		return false
	}
	digits := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits = true
		case c == ' ' || c == '.' || c == ',' || c == '(' || c == ')' || c == '-':
		case (c == 'e' || c == 'E') && digits && i+1 < len(s): // 1e-5
		default:
			return false
		}
	}
	return digits || len(s) == 1
}
