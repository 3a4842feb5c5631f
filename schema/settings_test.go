package schema

import (
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		set  string
		read func(s *Settings) any
		want any
		err  string
	}{
		{"text", " a b ", func(s *Settings) any { return s.Text("k", "def") }, "a b", ""},
		{"no text", " \t", func(s *Settings) any { return s.Text("k", "def") }, "def", ""},
		{"choice", " ON ", func(s *Settings) any { return s.Choice("k", "off", "on") }, "on", ""},
		{"no choice", "", func(s *Settings) any { return s.Choice("k", "off", "on") }, "off", ""},
		{"wrong choice", "Yes", func(s *Settings) any { return s.Choice("k", "off", "on") }, nil, `connection c: k "Yes" is none of off, on`},
		{"duration", "1m30s", func(s *Settings) any { return s.Duration("k", "10s", 0) }, 90 * time.Second, ""},
		{"no duration", "", func(s *Settings) any { return s.Duration("k", "10s", 0) }, 10 * time.Second, ""},
		{"bare seconds", "1.5", func(s *Settings) any { return s.Duration("k", "10s", 0) }, 1500 * time.Millisecond, ""},
		{"shortest duration", "1", func(s *Settings) any { return s.Duration("k", "10s", time.Second) }, time.Second, ""},
		{"negative duration", "-1s", func(s *Settings) any { return s.Duration("k", "10s", 0) }, nil, `connection c: k "-1s" is no duration; write it like 10s`},
		{"duration in words", "soon", func(s *Settings) any { return s.Duration("k", "10s", 0) }, nil, `connection c: k "soon" is no duration; write it like 10s`},
		{"short duration", "999ms", func(s *Settings) any { return s.Duration("k", "10s", time.Second) }, nil, `connection c: k "999ms" is no duration of at least 1s; write it like 10s`},
		{"rate", "0.5", func(s *Settings) any { return s.Rate("k", 3) }, 0.5, ""},
		{"no rate", "", func(s *Settings) any { return s.Rate("k", 0) }, 0.0, ""},
		{"rate of nothing", "0", func(s *Settings) any { return s.Rate("k", 3) }, nil, `connection c: k "0" is no number of requests a second above 0`},
		{"no number", "NaN", func(s *Settings) any { return s.Rate("k", 3) }, nil, `connection c: k "NaN" is no number of requests a second above 0`},
		{"endless", "inf", func(s *Settings) any { return s.Rate("k", 3) }, nil, `connection c: k "inf" is no number of requests a second above 0`},
		{"whole", "1000", func(s *Settings) any { return s.Whole("k", 7, 1, 1000) }, 1000, ""},
		{"no whole", "", func(s *Settings) any { return s.Whole("k", 7, 1, 1000) }, 7, ""},
		{"too much", "1001", func(s *Settings) any { return s.Whole("k", 7, 1, 1000) }, nil, `connection c: k "1001" is no whole number from 1 to 1000`},
		{"a part", "1.5", func(s *Settings) any { return s.Whole("k", 7, 1, 1000) }, nil, `connection c: k "1.5" is no whole number from 1 to 1000`},
		{"address", "https://example.com/api//", func(s *Settings) any { return s.URL("k", "").String() }, "https://example.com/api", ""},
		{"no address", "", func(s *Settings) any { return s.URL("k", "https://example.com/").String() }, "https://example.com", ""},
		{"wrong address", "https://[::1", func(s *Settings) any { return s.URL("k", "").String() }, nil, `connection c: k: parse "https://[::1": missing ']' in host`},
		{"missing", "", func(s *Settings) any { s.Missing(&Vendor{Name: "v"}, "k"); return nil }, nil, `connection c has no k: set CRMETL_V_K, or k in the config file`},
	}
	for _, tt := range tests {
		s := Connection{Name: "c", Settings: map[string]string{"k": tt.set}}.Read()
		got := tt.read(s)
		switch err := s.Err(); {
		case tt.err != "" && (err == nil || err.Error() != tt.err):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestSettingsGather(t *testing.T) {
	s := Connection{Settings: map[string]string{"a": "x", "b": "y"}}.Read()
	s.Bad(nil)
	if err := s.Err(); err != nil {
		t.Errorf("nothing is wrong, and there is %v", err)
	}
	s.Rate("a", 1)
	s.Duration("b", "1s", 0)
	if err := s.Err(); err == nil || !strings.HasPrefix(err.Error(), `a "x" is`) || !strings.Contains(err.Error(), "\n"+`b "y" is`) {
		t.Errorf("%v, want both problems, without a connection's name", err)
	}
}
