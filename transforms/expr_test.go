package transforms

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/record"
)

func exprHeader(t testing.TB) *record.Header {
	h, err := record.NewHeader([]string{"Agent", "Comment", "Budget", "Größe \"m²\"", "Tags", "Bad"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestExpression(t *testing.T) {
	row := []record.Value{text("Ada"), text("  hi "), number("1200"), text("80"), text("a; b;a"), record.Of(record.Fault, "#N/A")}
	cases := []struct {
		source string
		want   record.Value
		err    string // of Eval
	}{
		{`row["Agent"] + ": " + trim(row["Comment"])`, text("Ada: hi"), ""},
		{`row.Agent`, text("Ada"), ""},
		{`row["Größe \"m²\""]`, text("80"), ""},
		{`row["Agent"] == "Ada" ? nil : "x"`, record.Value{}, ""},
		{`row?.["Agent"] + row?.["Assistant"] + "."`, text("Ada."), ""}, // a column that the file may lack
		{`trim(row?.["Assistant"]) != "" ? "x" : row?.["Deputy"]`, text(""), ""},
		{`int(row["Budget"]) * 2 + 1`, number("2401"), ""},
		{`float(row["Budget"]) / 1000`, number("1.2"), ""},
		{`row["Budget"] in ["1200", "1300"]`, yes, ""},
		{`row["Agent"] matches "^A"`, yes, ""},
		{`split(row["Tags"], ";")`, list("a", " b", "a"), ""},
		{`map(split(row["Tags"], ";"), trim(#) + "!")`, list("a!", "b!", "a!"), ""},
		{`join(filter(split(row["Tags"], ";"), # != "a"), ",")`, text(" b"), ""},
		{`row["Tags"] | split(";") | map(trim(#)) | join("/")`, text("a/b/a"), ""},
		{`[1, "x", true]`, record.Of(record.List, `[1,"x",true]`), ""},
		{`upper(row["Agent"])[0:2]`, text("AD"), ""},
		{`replace(row["Tags"], "; ", "|")`, text("a|b;a"), ""},
		{`let a = row["Agent"]; a + a`, text("AdaAda"), ""},
		{`1..3`, record.Of(record.List, `[1,2,3]`), ""},
		{`int(row["Agent"])`, record.Value{}, "expr"},
		{`1 / 0.0`, record.Value{}, "expr"},
		{`row["Bad"] == "x"`, record.Value{}, "cell"},
		{`split("a", "")`, record.Value{}, "expr"},
		{`{"a": 1}`, record.Value{}, "expr"},
		{`[[1]]`, record.Value{}, "expr"},
		{`[1,2][5]`, record.Value{}, "expr"},
	}
	for _, c := range cases {
		x, err := CompileExpr(c.source, exprHeader(t), false)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		for range 2 {
			got, err := x.Eval(row)
			var r *Refusal
			if c.err != "" && (!errors.As(err, &r) || r.Rule != c.err) || c.err == "" && err != nil || got != c.want {
				t.Errorf("%s: %v, %v, want %v %s", c.source, got, err, c.want, c.err)
			}
		}
	}
	x, err := CompileExpr(`row["Tags"] + row["Agent"]`, exprHeader(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := x.Eval([]record.Value{text("x")}); err != nil || got.Text() != "x" {
		t.Errorf("short row: %v %v", got, err)
	}
}

func TestExpressionErrors(t *testing.T) {
	cases := []struct {
		source  string
		offset  int
		want    string
		nearest string
	}{
		{`row["Agnet"] + "x"`, 4, `unknown column "Agnet"`, "Agent"},
		{`"x" + row.Coment`, 10, `unknown column "Coment"`, "Comment"},
		{`row["Agent"`, 10, "unexpected token", ""},
		{`row["Agent"] + 1`, 13, "mismatched types", ""},
		{`tirm(row["Agent"])`, 0, "unknown function tirm", "trim"},
		{`now()`, 0, "unknown function now", ""},
		{`repeat("x", 100)`, 0, "unknown function repeat", ""},
		{`reduce([1], #acc + #)`, 0, "unknown function reduce", ""},
		{`row`, 0, "unknown name row", ""},
		{`row[trim("Agent")]`, 0, "in quotes", ""},
		{`keys(row)`, 0, "unknown function keys", ""},
		{`$env["row"]`, 0, "$env", ""},
		{`let row = 1; row`, 0, "can't be declared", ""},
		{`any(1..3, any(1..3, true))`, 0, "within the search", ""},
		{`nonesuch`, 0, "unknown name nonesuch", "none"},
		{`row["Agent"] matches "("`, 0, "missing closing", ""},
		{``, 0, "unexpected token", ""},
	}
	for _, c := range cases {
		_, err := CompileExpr(c.source, exprHeader(t), false)
		var xe *ExprError
		if !errors.As(err, &xe) {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if !strings.Contains(xe.Message, c.want) || xe.Nearest != c.nearest || c.offset != 0 && xe.Offset != c.offset {
			t.Errorf("%s: %d %q nearest %q", c.source, xe.Offset, xe.Message, xe.Nearest)
		}
	}
	if _, err := CompileExpr(`row["Agent"]`, exprHeader(t), true); err == nil {
		t.Error("a text passes as a condition")
	}
}

// TestExpressionIsBounded: what would fill memory or run for hours ends at once, with an error on the row.
func TestExpressionIsBounded(t *testing.T) {
	double := `let a0 = row["Agent"]; `
	for i := range 60 {
		double += fmt.Sprintf("let a%d = a%d + a%d; ", i+1, i, i)
	}
	pipe := `["x"]` + strings.Repeat(` | map(# + #)`, 60)
	cases := []string{
		double + "len(a60)", "len(" + pipe + "[0])", "count(1..1000000, true)", "len(1..100000)",
		strings.Repeat("replace(", 40) + `"x"` + strings.Repeat(`, "x", "xxxxxxxxxx")`, 40),
		strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000), strings.Repeat("1+", 3000) + "1", strings.Repeat("[", 5000), strings.Repeat("not ", 5000) + "true",
	}
	for _, source := range cases {
		start := time.Now()
		x, err := CompileExpr(source, exprHeader(t), false)
		if err == nil {
			_, err = x.Eval([]record.Value{text("some text")})
		}
		if err == nil && !strings.HasPrefix(source, "((") {
			t.Errorf("%.60s… passes", source)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%.60s… takes %v", source, d)
		}
	}
}

// TestExpressionIsShared: many goroutines use one expression, and each sees its own row only.
func TestExpressionIsShared(t *testing.T) {
	x, err := CompileExpr(`row["Agent"] + "/" + row["Budget"]`, exprHeader(t), false)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				s := fmt.Sprint(g*10000 + i)
				if got, err := x.Eval([]record.Value{text("a" + s), {}, text("b" + s)}); err != nil || got.Text() != "a"+s+"/b"+s {
					t.Errorf("%s: %v %v", s, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkExpression(b *testing.B) {
	x, err := CompileExpr(`row["Agent"] + ": " + trim(row["Comment"])`, exprHeader(b), false)
	if err != nil {
		b.Fatal(err)
	}
	row := []record.Value{text("Ada"), text("  hi ")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Eval(row); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzExpression: no expression breaks the compiler, and what compiles gives the same for the same row.
func FuzzExpression(f *testing.F) {
	f.Add(`row["Agent"] + ": " + trim(row["Comment"])`)
	f.Add(`map(split(row["Tags"], ";"), trim(#) + "!")`)
	f.Add(`let a = row.Agent; a + a`)
	h := exprHeader(f)
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 300 {
			return
		}
		if x, err := CompileExpr(source, h, false); err == nil {
			row := []record.Value{text("Ada"), text("x"), number("1")}
			first, err := x.Eval(row)
			again, err2 := x.Eval(row)
			if first != again || (err == nil) != (err2 == nil) {
				t.Errorf("%q gives %v (%v), and then %v (%v)", source, first, err, again, err2)
			}
			if row[0] != text("Ada") || row[1] != text("x") || row[2] != number("1") {
				t.Errorf("%q changed the row: %v", source, row)
			}
		}
	})
}
