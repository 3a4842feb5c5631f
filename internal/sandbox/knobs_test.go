package sandbox

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dials are a struct of knobs, as a simulator has one.
type dials struct {
	Mode, Note, Word string
	Status, N, Rate  int
	On, Off          bool
	Delay, Period    time.Duration
	Retry            RetryForm
	Body             BodyStyle
}

func dialTable(d *dials) []Setting {
	return []Setting{
		Choice("mode", &d.Mode, "merge", "replace"),
		Text("note", &d.Note, nil),
		Text("word", &d.Word, func(v string) error { return OneOf(v, "a", "b") }),
		Status("status", &d.Status, 200, 201),
		Number("n", &d.N, 1, 100),
		Rate(&d.Rate),
		Switch("fast", &d.On, "on"),
		Switch("strict", &d.Off, "off"),
		Delay("delay", &d.Delay),
		Period("period", &d.Period),
		LimitRetryAfter(&d.Retry),
		LimitBody(&d.Body),
	}
}

func TestTune(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        dials
		err         string // "" if it is taken
	}{
		{"mode", "merge", dials{Mode: "merge"}, ""},
		{"mode", "replace", dials{Mode: "replace"}, ""},
		{"mode", "", dials{}, "want one of [merge replace]"},
		{"mode", "Merge", dials{}, "want one of [merge replace]"},
		{"note", "any text, = and all", dials{Note: "any text, = and all"}, ""},
		{"note", "", dials{}, ""},
		{"word", "b", dials{Word: "b"}, ""},
		{"word", "c", dials{}, "want one of [a b]"},
		{"status", "200", dials{Status: 200}, ""},
		{"status", "201", dials{Status: 201}, ""},
		{"status", "404", dials{}, "want one of [200 201]"},
		{"status", "0200", dials{}, "want one of [200 201]"},
		{"status", "", dials{}, "want one of [200 201]"},
		{"n", "1", dials{N: 1}, ""},
		{"n", "250", dials{N: 250}, ""},
		{"n", "0", dials{}, "want a whole number from 1"},
		{"n", "1.5", dials{}, "want a whole number from 1"},
		{"n", "99999999999999999999", dials{}, "want a whole number from 1"},
		{"rate", "0", dials{}, ""},
		{"rate", "5", dials{Rate: 5}, ""},
		{"rate", "-1", dials{}, "want a whole number, 0 for no limit"},
		{"rate", "x", dials{}, "want a whole number, 0 for no limit"},
		{"fast", "on", dials{On: true}, ""},
		{"fast", "off", dials{}, ""},
		{"fast", "yes", dials{}, "want one of [on off]"},
		{"strict", "off", dials{Off: true}, ""},
		{"strict", "on", dials{}, ""},
		{"strict", "", dials{}, "want one of [on off]"},
		{"delay", "0s", dials{}, ""},
		{"delay", "90s", dials{Delay: 90 * time.Second}, ""},
		{"delay", "-1s", dials{}, "want a duration, as in 10s"},
		{"delay", "10", dials{}, "want a duration, as in 10s"},
		{"period", "1ns", dials{Period: 1}, ""},
		{"period", "1h30m", dials{Period: 90 * time.Minute}, ""},
		{"period", "0s", dials{}, "want a duration, as in 10s"},
		{"period", "-1s", dials{}, "want a duration, as in 10s"},
		{"limit_retry_after", "seconds", dials{Retry: RetrySeconds}, ""},
		{"limit_retry_after", "date", dials{Retry: RetryDate}, ""},
		{"limit_retry_after", "none", dials{Retry: RetryNone}, ""},
		{"limit_retry_after", "", dials{}, "want one of [seconds date none]"},
		{"limit_retry_after", "2", dials{}, "want one of [seconds date none]"},
		{"limit_body", "json", dials{Body: BodyJSON}, ""},
		{"limit_body", "html", dials{Body: BodyHTML}, ""},
		{"limit_body", "empty", dials{Body: BodyEmpty}, ""},
		{"limit_body", "", dials{}, "want one of [json html empty]"},
	} {
		var d dials
		err := Tune("toy", dialTable(&d), []Knob{{Name: c.name, Value: c.value}})
		if c.err != "" {
			if want := fmt.Sprintf("set %s=%s: %s", c.name, c.value, c.err); err == nil || err.Error() != want {
				t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
		if diff := cmp.Diff(c.want, d); diff != "" {
			t.Errorf("%s=%s: %s", c.name, c.value, diff)
		}
	}
}

// TestTuneInOrder: of two settings of one knob the later counts, and the first that is wrong is told.
func TestTuneInOrder(t *testing.T) {
	var d dials
	if err := Tune("toy", dialTable(&d), []Knob{{Name: "n", Value: "3"}, {Vendor: "toy", Name: "mode", Value: "replace"}, {Name: "n", Value: "4"}}); err != nil || d.N != 4 || d.Mode != "replace" {
		t.Errorf("%+v %v", d, err)
	}
	err := Tune("toy", dialTable(&d), []Knob{{Name: "n", Value: "5"}, {Name: "colour", Value: "red"}, {Name: "n", Value: "x"}})
	var unknown *UnknownKnobError
	if !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	want := &UnknownKnobError{Vendor: "toy", Knob: Knob{Name: "colour", Value: "red"}, Names: []string{
		"mode", "note", "word", "status", "n", "rate", "fast", "strict", "delay", "period", "limit_retry_after", "limit_body", "clock_offset",
	}}
	if diff := cmp.Diff(want, unknown); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	var d dials
	if err := Defaults(dialTable(&d)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dials{Mode: "merge", Status: 200, N: 100}, d); diff != "" {
		t.Error(diff)
	}
	given := dials{Mode: "replace", Note: "x", Word: "z", Status: 201, N: 1, Rate: -1, On: true, Off: true, Delay: -1, Period: -1, Retry: RetryDate, Body: BodyHTML}
	kept := given
	if err := Defaults(dialTable(&kept)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(given, kept); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		knobs dials
		want  string
	}{
		{dials{Mode: "patch"}, `mode "patch": want one of [merge replace]`},
		{dials{Status: 404}, "status 404: want 200 or 201"},
		{dials{N: -1}, "n -1: want a whole number from 1"},
	} {
		if err := Defaults(dialTable(&c.knobs)); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
