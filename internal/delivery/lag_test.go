package delivery

import (
	"net/http"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/schema"
)

// lagBook is a ledger that keeps the vendor's clock.
type lagBook struct {
	*deliverytest.Ledger
	lag   time.Duration
	known bool
	kept  []time.Duration
}

func (b *lagBook) Lag() (time.Duration, bool) { return b.lag, b.known }

func (b *lagBook) KeepLag(d time.Duration) error {
	b.kept = append(b.kept, d)
	return nil
}

// TestResumedWithAnotherClock has the clock set right between the call and the lookup: what the call made looks older
// than the run that made it.
func TestResumedWithAnotherClock(t *testing.T) {
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		lag   time.Duration
		known bool
		age   time.Duration // of the record, before the run began by our clock of then
		dated bool          // the vendor says what time it is
		want  Answer
	}{
		{"right clock, made by the run", 0, true, -5 * time.Second, true, Present},
		{"right clock, a record of an hour ago", 0, true, time.Hour, true, Absent},
		{"right clock to a second or two", 2 * time.Second, true, time.Hour, true, Absent},
		{"we were three hours ahead, made by the run", 3 * time.Hour, true, 3*time.Hour - 5*time.Second, true, Unclear},
		{"we were three hours ahead, a record of the day before", 3 * time.Hour, true, 24 * time.Hour, true, Absent},
		{"we were behind, made by the run", -3 * time.Hour, true, -3 * time.Hour, true, Present},
		{"nobody knows, made by the run", 0, false, -5 * time.Second, true, Present},
		{"nobody knows, a record of an hour ago", 0, false, time.Hour, true, Unclear},
		{"nobody knows, nor does the vendor tell, a record of an hour ago", 0, false, time.Hour, false, Unclear},
		{"nobody knows, a record of last week", 0, false, 7 * 24 * time.Hour, true, Absent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ledger := &lagBook{Ledger: deliverytest.NewLedger(t), lag: tt.lag, known: tt.known}
			now := func() time.Time { return began.Add(time.Hour) }
			k := NewCourier(nil, schema.Load{Started: began}, ledger, now, nil)
			var clock Clock
			if tt.dated {
				clock.Observe(http.Header{"Date": {now().Format(http.TimeFormat)}}, now())
			}
			m := NewMaker(k, &clock, "thing")
			l := &Look{m: m, w: window{since: k.began}, print: 7}
			l.See("1", Same, 7, began.Add(-tt.age), true)
			if f := l.finding("a search"); f.Answer != tt.want {
				t.Errorf("%+v, want %v", f, tt.want)
			}
		})
	}
}

// TestLagIsKept: the first answer tells how far the vendor's clock is behind, and the ledger is told once.
func TestLagIsKept(t *testing.T) {
	ledger := &lagBook{Ledger: deliverytest.NewLedger(t)}
	at := time.Now().Add(-2 * time.Hour)
	k := courierTo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	}, schema.Load{}, ledger)
	for n := range int64(3) {
		if _, err := k.Call(t.Context(), post(), row(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ledger.kept) != 1 || (ledger.kept[0]-2*time.Hour).Abs() > 10*time.Second {
		t.Errorf("kept %v", ledger.kept)
	}
}
