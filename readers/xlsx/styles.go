package xlsx

import (
	"fmt"
	"strconv"
	"strings"
)

// class is what a number format makes of a number.
type class uint8

const (
	plain    class = iota
	dateOnly       // shows a day
	timeOnly       // shows a time of day
	dateTime
	dateTimeUTC // its format says Z, as ours does for points in time: spreadsheets know no zones
	elapsed     // hours, minutes or seconds that go on past their end: a duration
)

// maxFormats bounds what a workbook may define; Excel itself takes a few hundred.
const maxFormats = 1 << 16

// readStyles returns the class of each cell style.
func readStyles(p *part) ([]class, error) {
	s := newScanner(p, p.window(), maxRecord)
	custom := map[int]class{}
	var styles []class
	inXfs := 0
	for {
		tok, err := s.next()
		switch {
		case err != nil:
			return nil, err
		case tok == tokEOF:
			return styles, nil
		case tok == tokEnd && s.depth() < inXfs:
			inXfs = 0
		case tok != tokStart:
			continue
		}
		switch name := string(local(s.name)); {
		case tok == tokStart && name == "numFmt":
			id, _, err := s.attr("numFmtId")
			if err != nil {
				return nil, err
			}
			code, ok, err := s.attr("formatCode")
			if err != nil {
				return nil, err
			}
			if n, err := strconv.Atoi(strings.TrimSpace(id)); err == nil && ok {
				if len(custom) == maxFormats {
					return nil, fmt.Errorf("it has more than %d number formats", maxFormats)
				}
				if _, twice := custom[n]; !twice {
					custom[n] = classOf(code)
				}
			}
		case tok == tokStart && name == "cellXfs" && !s.empty:
			inXfs = s.depth()
		case tok == tokStart && name == "xf" && inXfs > 0:
			id, _, err := s.attr("numFmtId")
			if err != nil {
				return nil, err
			}
			// An unreadable id is General.
			n, _ := strconv.Atoi(strings.TrimSpace(id))
			c, ok := custom[n]
			if !ok {
				c = builtin(n)
			}
			styles = append(styles, c)
		case tok == tokStart && name == "dxfs":
			// Formats inside are for conditions, and may repeat ids.
			if err := s.skip(); err != nil {
				return nil, err
			}
		}
	}
}

// builtin classifies the formats that a workbook need not spell out. 27-36 and 50-58 belong to East Asian versions.
func builtin(id int) class {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 58, id == 34, id == 35:
		return dateOnly
	case id >= 18 && id <= 21, id == 32, id == 33, id == 45, id == 47:
		return timeOnly
	case id == 22:
		return dateTime
	case id == 46:
		return elapsed
	}
	return plain
}

// classOf reads a format code. Its first section decides: that is the one for positive numbers.
func classOf(code string) class {
	var date, clock, length, zulu bool
	var before byte     // the date or time letter before this one
	var monthOrMin bool // that was an m, which only what follows makes minutes
	letter := func(c byte) {
		if monthOrMin && c != 's' {
			date = true
		}
		monthOrMin = false
		switch c {
		case 'y', 'd', 'g', 'e':
			date = true
		case 'h', 's':
			clock = true
		case 'm':
			if before == 'h' {
				clock = true
			} else {
				monthOrMin = true
			}
		}
		before = c
	}
scan:
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case ';':
			break scan
		case '"':
			j := strings.IndexByte(code[i+1:], '"')
			if j < 0 {
				break scan
			}
			zulu = zulu || clock && code[i+1:i+1+j] == "Z"
			i += j + 1
		case '\\', '_', '*':
			i++ // the next character is literal, a width, or a filler
		case '[':
			j := strings.IndexByte(code[i:], ']')
			if j < 0 {
				break scan
			}
			// [h], [mm], [ss] count on past their end; all else in brackets is a colour, a condition or a locale.
			if in := strings.ToLower(code[i+1 : i+j]); in != "" && strings.Contains("hms", in[:1]) && strings.Trim(in, in[:1]) == "" {
				length, before = true, 'h'
			}
			i += j
		default:
			switch {
			case hasFold(code[i:], "general"):
				i += len("general") - 1
			case hasFold(code[i:], "am/pm"):
				clock = true
				i += len("am/pm") - 1
			case hasFold(code[i:], "a/p"):
				clock = true
				i += len("a/p") - 1
			case c|0x20 == 'e' && i+1 < len(code) && (code[i+1] == '+' || code[i+1] == '-'):
				i++ // 0.00E+00
			case strings.IndexByte("ymdhsge", c|0x20) >= 0:
				for i+1 < len(code) && code[i+1]|0x20 == c|0x20 {
					i++
				}
				letter(c | 0x20)
			}
		}
	}
	date = date || monthOrMin
	switch {
	case date && clock && zulu:
		return dateTimeUTC
	case date && (clock || length):
		return dateTime
	case date:
		return dateOnly
	case length:
		return elapsed
	case clock || before != 0:
		return timeOnly
	}
	return plain
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
