package deliverytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// heard is a test that keeps what it is told.
type heard struct {
	testing.TB
	errors []string
}

func (h *heard) Errorf(format string, args ...any) {
	h.errors = append(h.errors, fmt.Sprintf(format, args...))
}

// follow does what the words of a step say: "send ROW FATE…", "undo CALL", "settle CALL ROW FATE…".
func follow(t *testing.T, l *Ledger, step string) {
	t.Helper()
	number := func(word string) int64 {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	rows := func(words []string) (rows []*record.Row) {
		fates := map[string]record.Fate{"pending": record.Pending, "doubt": record.Doubt, "accepted": record.Accepted, "rejected": record.Rejected, "unchanged": record.Unchanged}
		for pair := range slices.Chunk(words, 2) {
			fate, ok := fates[pair[1]]
			if !ok {
				t.Fatalf("%s: there is no fate %s", step, pair[1])
			}
			rows = append(rows, &record.Row{Num: number(pair[0]), Fate: fate})
		}
		return rows
	}
	var err error
	switch words := strings.Fields(step); words[0] {
	case "send":
		_, err = l.Sending("POST /x", rows(words[1:])...)
	case "again":
		_, err = l.SendingAgain("POST /x", rows(words[1:])...)
	case "undo":
		err = l.Undone(number(words[1]), "no effect")
	case "settle":
		err = l.Settled(number(words[1]), "200 [like x]", rows(words[2:])...)
	default:
		t.Fatalf("there is no step %s", step)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLedger keeps the rules and breaks each once: a rule that nothing can break guards nothing.
func TestLedger(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []string
		final bool
		want  string  // part of the complaint; "" for none
		calls int     // in flight at the end
		doubt []int64 // rows at the end
	}{
		{name: "sent and settled", steps: []string{"send 1 pending 2 doubt", "settle 1 1 accepted 2 rejected"}},
		{name: "settled without a call", steps: []string{"settle 0 1 unchanged"}},
		{name: "settled in parts", steps: []string{"send 1 pending 2 pending 3 pending", "settle 1 2 accepted", "settle 1 1 accepted"}, calls: 1, doubt: []int64{3}},
		{name: "undone", steps: []string{"send 1 pending", "undo 1"}},
		{name: "undone and given up", steps: []string{"send 1 pending", "undo 1", "settle 1 1 rejected"}},
		{name: "repeated", steps: []string{"send 1 pending", "send 1 pending", "settle 2 1 accepted"}, calls: 1},
		{name: "left in doubt", steps: []string{"send 3 pending", "send 1 pending 2 pending"}, calls: 2, doubt: []int64{1, 2, 3}},
		{name: "put right", steps: []string{"send 1 accepted", "settle 1 1 accepted"}},

		{name: "put right where that is not done", final: true, steps: []string{"send 1 accepted", "settle 1 1 accepted"}, want: "row 1 is sent with fate accepted"},
		{name: "a refused row is sent", steps: []string{"send 1 rejected"}, want: "row 1 is sent with fate rejected", calls: 1, doubt: []int64{1}},
		{name: "undone twice", steps: []string{"send 1 pending", "undo 1", "undo 1"}, want: "call 1 is undone but not open"},
		{name: "settled twice", steps: []string{"send 1 pending", "settle 1 1 accepted", "settle 1 1 accepted"}, want: "row 1 is settled by call 1, which is not open or not for it"},
		{name: "settled by another's call", steps: []string{"send 1 pending", "settle 1 2 accepted"}, want: "row 2 is settled by call 1", calls: 1, doubt: []int64{1}},
		{name: "settled by a call that never was", steps: []string{"settle 7 1 rejected"}, want: "row 1 is settled by call 7"},
		{name: "settled without a fate", steps: []string{"send 1 pending", "settle 1 1 pending"}, want: "row 1 is settled with fate pending"},
		{name: "accepted by a call without effect", steps: []string{"send 1 pending", "undo 1", "settle 1 1 accepted"}, want: "row 1 is accepted by call 1, which had no effect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &heard{TB: t}
			l := NewLedger(h)
			l.Final = tt.final
			for _, step := range tt.steps {
				follow(t, l, step)
			}
			switch {
			case tt.want == "" && len(h.errors) > 0:
				t.Errorf("complaints %q, want none", h.errors)
			case tt.want != "" && (len(h.errors) != 1 || !strings.Contains(h.errors[0], tt.want)):
				t.Errorf("complaints %q, want one with %q", h.errors, tt.want)
			}
			if diff := cmp.Diff(tt.doubt, l.InDoubt()); diff != "" || l.InFlight() != tt.calls {
				t.Errorf("%d calls in flight, want %d; in doubt (-want +got):\n%s", l.InFlight(), tt.calls, diff)
			}
		})
	}
}

// TestRecall asks for rows of each history, and counts notes.
func TestRecall(t *testing.T) {
	l := NewLedger(t)
	for _, step := range []string{"send 1 pending", "settle 1 1 accepted", "send 2 pending", "settle 2 2 rejected", "send 3 pending", "again 4 pending", "undo 4"} {
		follow(t, l, step)
	}
	want := map[int64]pipeline.Recall{1: pipeline.Retired, 2: pipeline.Retired, 3: pipeline.Unknown, 4: pipeline.Fresh, 5: pipeline.Fresh}
	for num, want := range want {
		if got := l.Recall(&record.Row{Num: num}); got != want {
			t.Errorf("row %d: %d, want %d", num, got, want)
		}
	}
	for text, want := range map[string]int64{"[like x]": 1, "[like y]": 0} {
		if n, err := l.Noted(text); err != nil || n != want {
			t.Errorf("%s is noted %d times, %v; want %d", text, n, err, want)
		}
	}
	type counter interface{ Noted(string) (int64, error) }
	if _, ok := Forgetful(l).(counter); ok {
		t.Error("a forgetful ledger counts")
	}
	if diff := cmp.Diff(map[int64]record.Fate{1: record.Accepted, 2: record.Rejected}, l.Fates()); diff != "" {
		t.Error(diff)
	}
	log := []string{"send 1 rows 1", "settled 1 row 1 accepted", "send 2 rows 2", "settled 2 row 2 rejected", "send 3 rows 3", "send again 4 rows 4", "undone 4"}
	if diff := cmp.Diff(log, l.Log()); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	b := Table("a|b|c|d", `x|-|~|{"e":1}`, "||y|")
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, b.Header.Names()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, r := range b.Rows {
		for _, v := range r.Values {
			got = append(got, fmt.Sprintf("%d %v %q", r.Num, v.Kind(), v.Text()))
		}
	}
	want := []string{
		fmt.Sprintf(`1 %v "x"`, record.Text), fmt.Sprintf(`1 %v ""`, record.Absent), fmt.Sprintf(`1 %v ""`, record.Null), fmt.Sprintf(`1 %v %q`, record.JSON, `{"e":1}`),
		fmt.Sprintf(`2 %v ""`, record.Text), fmt.Sprintf(`2 %v ""`, record.Text), fmt.Sprintf(`2 %v "y"`, record.Text), fmt.Sprintf(`2 %v ""`, record.Text),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFates(t *testing.T) {
	b := Table("a", "1", "2", "3")
	b.Rows[0].Accept("created", "17")
	b.Rows[1].Reject(record.Problem{Field: "a", Rule: "required"})
	b.Rows[1].Reject(record.Problem{Rule: "vendor"})
	if diff := cmp.Diff([]string{"accepted created 17", "rejected a:required :vendor", "pending"}, Fates(b)); diff != "" {
		t.Error(diff)
	}
}

// TestSource holds the source against the suite of sources.
func TestSource(t *testing.T) {
	b := Table("a|b", "1|x", "2|-", "3|z")
	sourcetest.Run(t, sourcetest.Suite{
		Open:    func() (pipeline.Source, error) { return Source(b), nil },
		Columns: []string{"a", "b"},
		Rows:    [][]string{{"1", "x"}, {"2", "absent:"}, {"3", "z"}},
	})
	rows, err := Rows(t.Context(), Source(b))
	if err != nil || len(rows) != 3 || rows[2].Values[1].Text() != "z" || rows[2].Line != 4 {
		t.Errorf("%v, %v", rows, err)
	}
	rows[0].Values[0] = record.TextOf("changed")
	if b.Rows[0].Values[0].Text() != "1" {
		t.Error("a row that was read shares its cells with the batch")
	}
}

func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"POST /x\n{\"a\":1,\"b\":[2]}", "POST /x\n{\"b\": [2],\n \"a\": 1}\n", true},
		{"GET /x", "GET /x\n", true},
		{"POST /x\n{\"a\":1}", "POST /x\n{\"a\":\"1\"}", false},
		{"POST /x\n{}", "PUT /x\n{}", false},
		{"POST /x\n{}", "POST /x", false},
	} {
		if same := cmp.Equal(Request(t, tt.a), Request(t, tt.b)); same != tt.same {
			t.Errorf("%q and %q say the same: %v", tt.a, tt.b, same)
		}
	}
}
