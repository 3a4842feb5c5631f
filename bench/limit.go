package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// sandbox starts crmetl's simulator of Map My Customers with an empty folder, under fault rules. env is what reaches it,
// base its address.
func (s *setting) sandbox(ctx context.Context, rules string, more ...string) (env []string, base string, stop func(), err error) {
	dir := s.path("sandbox")
	if err := os.RemoveAll(dir); err != nil {
		return nil, "", nil, err
	}
	args := append([]string{s.crmetl, "sandbox", "--dir", dir, "--faults", rules}, more...)
	stop, err = s.start(ctx, func(line string) bool {
		if set, ok := strings.CutPrefix(line, "export "); ok {
			set = strings.ReplaceAll(set, "'", "")
			env = append(env, set)
			if v, ok := strings.CutPrefix(set, "CRMETL_MAPMYCUSTOMERS_BASE_URL="); ok {
				base = v
			}
		}
		return strings.Contains(line, ": serving ")
	}, args...)
	return env, base, stop, err
}

// ledger is what the simulator counted.
type ledger struct {
	Writes []struct {
		Time time.Time
	}
	Requests []struct {
		Status int
		Count  int64
	}
	MaxPerSecond int `json:"max_per_second"`
}

// measureW5 imports at a vendor's limit. The simulator counts, not the client: what came, when, and how much of it in any
// one second.
func measureW5(ctx context.Context, s *setting) error {
	rows := int(s.limit.Seconds() * float64(s.rate))
	data, err := s.leads(rows)
	if err != nil {
		return err
	}
	mapping, err := s.write("w1.yaml", mappingW1)
	if err != nil {
		return err
	}
	env, base, stop, err := s.sandbox(ctx, fmt.Sprintf("set mapmycustomers.token_activation=0s mapmycustomers.rate=%d; * slow=20ms..800ms", s.rate))
	if err != nil {
		return err
	}
	defer stop()
	run := s.path("run-w5")
	r := s.run(ctx, contender{name: "crmetl import", code: exitRejected, fresh: []string{run},
		args: []string{s.crmetl, "import", data, "mapmycustomers/customers", "--mapping", mapping, "--run-dir", run, "-q"},
		env:  append(append(env, s.homes()...), fmt.Sprintf("CRMETL_MAPMYCUSTOMERS_RATE=%d", s.rate))})
	if r.err != nil {
		return r.err
	}
	var l ledger
	if err := getJSON(ctx, strings.TrimSuffix(base, "/api/v1")+"/_sandbox/ledger", &l); err != nil {
		return err
	}
	n := len(l.Writes)
	if n < 2 {
		return fmt.Errorf("the simulator took %d calls", n)
	}
	first, last := l.Writes[0].Time, l.Writes[0].Time
	for _, w := range l.Writes {
		if w.Time.Before(first) {
			first = w.Time
		}
		if w.Time.After(last) {
			last = w.Time
		}
	}
	violations := int64(0)
	for _, c := range l.Requests {
		if c.Status == 429 {
			violations += c.Count
		}
	}
	span := last.Sub(first)
	used := float64(n-1) / (float64(s.rate) * span.Seconds())
	busy := r.cpu.Seconds() / span.Seconds()

	fmt.Printf("\n### W5: import at the limit of a vendor who allows %d requests a second and answers after 20 to 800 ms\n\n", s.rate)
	fmt.Println("| calls | seconds, first to last | of those allowed | refused (429) | most in any second | of one processor | MB |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|---:|")
	fmt.Printf("| %d | %.1f | %.1f%% | %d | %d | %.2f%% | %d |\n\n", n, span.Seconds(), 100*used, violations, l.MaxPerSecond, 100*busy, r.peak)
	fmt.Printf("- goal: 99%% of the calls that are allowed: %.1f%%, %s\n", 100*used, verdict(used >= 0.99))
	fmt.Printf("- goal: no violation in any second: %d refused, at most %d in a second, %s\n", violations, l.MaxPerSecond, verdict(violations == 0 && l.MaxPerSecond <= s.rate))
	fmt.Printf("- goal: under 3%% of one processor, starting and ending included: %.2f%%, %s\n", 100*busy, verdict(busy < 0.03))
	return nil
}
