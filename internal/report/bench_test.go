package report_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/record"
)

var leadsHeader = record.LooseHeader([]string{"id", "first_name", "last_name", "company", "email", "phone", "street", "city", "state", "postal_code",
	"country", "title", "industry", "employees", "annual_revenue", "lead_source", "status", "created_at", "score", "notes"})

// leads makes a batch of accepted rows as a large import has them: 20 columns, 240 bytes a row, names in many scripts,
// one cell in fifteen in quotes. Their cells are views into one text, as a reader's are.
func leads(rows int) *record.Batch {
	rng := rand.New(rand.NewPCG(42, 7))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	digits := func(n int) string { return fmt.Sprintf("%0*d", n, rng.IntN([]int{1, 10, 100, 1000, 10000, 100000}[n])) }
	var text strings.Builder
	var ends []int
	for n := range rows {
		var notes []string
		for k := range rng.IntN(14) {
			word := pick("called", "left", "voicemail", "interested", "in", "the", "premium", "plan", "follow", "up", "budget", "approved", "pricing", "renewal")
			switch {
			case k > 0 && rng.IntN(25) == 0:
				word = ", " + word
			case rng.IntN(60) == 0:
				word = `"` + word + `"`
			case k > 10:
				word = "\n" + word
			}
			notes = append(notes, word)
		}
		for _, cell := range []string{
			fmt.Sprint("L", 10_000_000+n), pick("James", "Mary", "José", "Zoë", "Wei", "美咲", "Søren", "Олег", "Mohammed", "지민"), pick("Smith", "García", "O'Brien", "Nakamura", "田中", "Иванов", "Van-Dyke", "Lee"),
			pick("Acme", "Globex", "Initech", "Vandelay", "Nakatomi", "Zażółć") + " " + pick("Inc", "LLC", "GmbH", "S.A.", "B.V.", "Ltd", "K.K.", "& Co, Inc"), pick("jos", "mary", "fatima") + "." + pick("smith", "hansen") + digits(rng.IntN(6)) + "@" + pick("Example.com", "mail.example.org", "example.co.uk"),
			"+1-" + digits(3) + "-" + digits(3) + "-" + digits(4), digits(rng.IntN(5)) + " " + pick("Main St", "Königsallee", "Rue de la Paix", "Ulica Długa") + pick("", "", ", Apt "+digits(2)), pick("San Francisco", "München", "東京", "Paris", "London", "Hồ Chí Minh"),
			pick("CA", "NY", "BY", "", "ON", "NSW"), digits(5), pick("United States", "Germany", "Japan", "France", "Colombia"), pick("VP Sales", "CEO", "Head of Marketing", "Buyer, Senior", "", "Procurement Manager"),
			pick("Software", "Manufacturing", "Retail", "Finance", "Energy"), digits(1 + rng.IntN(5)), "9" + digits(rng.IntN(6)) + "000", pick("Web", "Referral", "Trade Show", "Cold Call"),
			pick("new", "working", "qualified", "converted"), digits(2) + "/" + digits(2) + "/20" + digits(2) + " " + digits(2) + ":" + digits(2), digits(rng.IntN(3)), strings.Join(notes, " "),
		} {
			text.WriteString(cell)
			ends = append(ends, text.Len())
		}
	}
	cells := make([]record.Value, len(ends))
	start := 0
	for i, end := range ends {
		cells[i] = record.TextOf(text.String()[start:end])
		start = end
	}
	b := &record.Batch{Header: leadsHeader, Origin: leadsHeader}
	width := leadsHeader.Len()
	for n := range rows {
		b.Rows = append(b.Rows, record.Row{Num: int64(n) + 1, Origin: cells[n*width : (n+1)*width], Fate: record.Accepted, Action: "created", ID: fmt.Sprint("evt-", 100_000+n)})
	}
	return b
}

// BenchmarkLines renders lines of success.csv.
func BenchmarkLines(b *testing.B) {
	rows := leads(2000).Rows
	l := report.AcceptedLines(leadsHeader)
	var dst []byte
	for i := range rows {
		dst = l.Append(dst, &rows[i])
	}
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		at := 0
		for i := range rows {
			if at++; at == 200 {
				at, dst = 0, dst[:0]
			}
			dst = l.Append(dst, &rows[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
}

// BenchmarkRecorder retires 100,000 accepted rows to a file, without waiting for the disk.
func BenchmarkRecorder(b *testing.B) {
	const batches = 50
	batch := leads(2000)
	dir := b.TempDir()
	b.ReportAllocs()
	run := 0
	for b.Loop() {
		run++
		r, err := report.NewRecorder(filepath.Join(dir, fmt.Sprint(run)), leadsHeader, newMemory(), report.Options{Sync: func(*os.File) error { return nil }})
		if err != nil {
			b.Fatal(err)
		}
		for k := range batches {
			for i := range batch.Rows {
				batch.Rows[i].Num = int64(k*len(batch.Rows)+i) + 1
			}
			if err := r.Retire(batch); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		info, err := os.Stat(filepath.Join(dir, fmt.Sprint(run), report.SuccessFile))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(info.Size())
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprint(run))); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batches*len(batch.Rows)), "ns/row")
}
