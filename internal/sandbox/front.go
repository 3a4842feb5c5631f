package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Front is the part of a simulator that is the same for all vendors: it counts requests, lets them fail on demand and
// serves the paths below /_sandbox/, which need no credentials but are answered on loopback only:
//
//	GET  /_sandbox/ledger          accepted writes and counters: a Ledger
//	GET  /_sandbox/records         the kinds of records with their numbers
//	GET  /_sandbox/records/{kind}  an array of a kind's records, as they are kept
//	POST /_sandbox/reset           back to what a first start has; counters to zero; faults stay, with their counts
//	GET  /_sandbox/faults          the rules with their counts
//	POST /_sandbox/faults          replaces the rules by those in the body (text; empty: none)
//
// The exported fields are set before the first request and not changed after it; Store and Now are Open's to set.
type Front struct {
	Name   string // the vendor's, as in targets
	Prefix string // what all the vendor's paths begin with, "/api/v1": fault rules and counters leave it out
	Store  *Store
	Now    func() time.Time

	// Arrive makes up its mind about a request, without its body: who asks, whether the rate allows it, what it is
	// about. It is called for one request at a time, in the order of arrival, and must not block.
	Arrive func(r *http.Request, at time.Time) Arrival
	// Tune applies the settings among the faults, all of them or none. It is called as Arrive is.
	Tune func([]Knob) error
	// Fill makes what a first start has; it is called when the store is new or has been reset.
	Fill func() error
	// Ready takes up from the store, which has all that a first start has, what a simulator holds in memory; nil: nothing.
	Ready func() error

	mu       sync.Mutex
	faults   *Faults
	offset   time.Duration
	counters counters
}

// Arrival is a request as a simulator sees it when it comes in.
type Arrival struct {
	Route  string                    // for the counters: the path with ids and terms as {id}, {term}
	Paced  bool                      // it counts towards the vendor's rate
	Answer func(http.ResponseWriter) // does the work and answers
}

// Open opens the folder of the options, or a store in memory, and starts. If that fails, the folder is free again.
func (f *Front) Open(o Options) error {
	store, err := OpenStore(o.Dir, f.Name)
	if err != nil {
		return err
	}
	f.Store, f.Now = store, o.Clock()
	err = f.Start(o.Faults)
	if err == nil && f.Ready != nil {
		err = f.Ready()
	}
	if err != nil {
		_ = store.Close()
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// Start takes up the faults and the counters of earlier runs, and fills a new store.
func (f *Front) Start(faults *Faults) error {
	c, err := newCounters(f.Store.Noted())
	if err != nil {
		return err
	}
	f.counters = c
	if err := f.SetFaults(faults); err != nil {
		return err
	}
	if _, filled, err := f.Store.Get(startKind, startID); err != nil || filled {
		return err
	}
	return f.refill()
}

// The record that says that a store has all that a first start has. Without it the store is new, or the process was
// killed while it filled it.
const startKind, startID = "sandbox", "filled"

func (f *Front) refill() error {
	if err := f.Store.Reset(); err != nil {
		return err
	}
	if err := f.Fill(); err != nil {
		return err
	}
	return f.Store.Fill(func(tx *Tx) error {
		tx.Put(startKind, startID, []byte(`{}`))
		return nil
	})
}

// SetFaults replaces the faults and applies the settings among them. Settings that the new faults do not name go back to
// what the simulator was made with.
func (f *Front) SetFaults(faults *Faults) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var offset time.Duration
	var theirs []Knob
	for _, k := range faults.Knobs(f.Name) {
		if k.Name != knobClock {
			theirs = append(theirs, k)
			continue
		}
		var err error
		if offset, err = time.ParseDuration(k.Value); err != nil {
			return fmt.Errorf("set %s=%s: want a duration, as in -90s", k.Name, k.Value)
		}
	}
	if err := f.Tune(theirs); err != nil {
		return err
	}
	f.faults, f.offset = faults, offset
	return nil
}

// knobClock is a setting that all simulators have: how far the vendor's clock is ahead of this machine's.
const knobClock = "clock_offset"

// clock is the vendor's.
func (f *Front) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Now().Add(f.offset)
}

// Ledger returns the accepted writes and the counters.
func (f *Front) Ledger() Ledger {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Ledger{Vendor: f.Name, Writes: f.Store.Writes(), Requests: f.counters.list(), MaxPerSecond: f.counters.peak.most}
}

// Reset brings the simulator back to what a first start has.
func (f *Front) Reset() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counters = counters{requests: map[RequestCount]int64{}}
	return f.refill()
}

// Close keeps the counters and frees the folder.
func (f *Front) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	note, err := f.counters.note()
	if err == nil {
		err = f.Store.Note(note)
	}
	if closed := f.Store.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// ServeHTTP answers a request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/_sandbox/"); ok {
		f.admin(w, r, rest)
		return
	}
	a, fault, at := f.take(r, path)
	w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	seen := &statusWriter{ResponseWriter: w}
	whole := false
	defer func() {
		// Runs before the client can see the end of the answer, or of the connection: what it asks for next
		// finds this request counted.
		f.count(RequestCount{Method: r.Method, Path: a.Route, Status: seen.outcome(whole), Broken: !whole})
	}()
	fault.serve(seen, r, f.clock, a.Answer)
	whole = true
}

// take makes up its mind about a request, one at a time.
func (f *Front) take(r *http.Request, path string) (Arrival, Fault, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.Now().Add(f.offset)
	a := f.Arrive(r, at)
	if a.Paced {
		f.counters.peak.arrive(at)
	}
	return a, f.faults.Next(r.Method, strings.TrimPrefix(path, f.Prefix)), at
}

func (f *Front) count(c RequestCount) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counters.requests[c]++
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusWriter) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}

// outcome is the status that the client got to see.
func (s *statusWriter) outcome(whole bool) int {
	if s.status == 0 && whole {
		return http.StatusOK // what net/http sends for a handler that returns without a word
	}
	return s.status
}

func (f *Front) admin(w http.ResponseWriter, r *http.Request, path string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		WriteError(w, http.StatusForbidden, BodyJSON, "the sandbox's own paths are answered on loopback only")
		return
	}
	kind, records := strings.CutPrefix(path, "records/")
	want := http.MethodGet
	switch {
	case path == "reset":
		want = http.MethodPost
	case path == "faults" && r.Method == http.MethodPost:
		want = http.MethodPost
	case path == "ledger", path == "faults", path == "records", records:
	default:
		WriteError(w, http.StatusNotFound, BodyJSON, "the sandbox has ledger, records, records/{kind}, reset and faults here")
		return
	}
	if r.Method != want {
		w.Header().Set("Allow", want)
		WriteError(w, http.StatusMethodNotAllowed, BodyJSON, "want "+want)
		return
	}
	switch {
	case path == "ledger":
		f.writeLedger(w)
	case path == "records":
		n := map[string]int{}
		for _, k := range f.Store.Kinds() {
			n[k] = f.Store.Len(k)
		}
		WriteJSON(w, http.StatusOK, n)
	case records:
		WriteArray(w, f.Store.List(kind), false)
	case path == "reset":
		if err := f.Reset(); err != nil {
			WriteError(w, http.StatusInternalServerError, BodyJSON, err.Error())
			return
		}
		WriteJSON(w, http.StatusOK, map[string]string{"message": "reset"})
	case want == http.MethodPost:
		f.postFaults(w, r)
	default:
		f.mu.Lock()
		faults := f.faults
		f.mu.Unlock()
		WriteJSON(w, http.StatusOK, faultsAnswer{faults.String(), faults.State()})
	}
}

// faultsAnswer is the answer of GET /_sandbox/faults.
type faultsAnswer struct {
	Text  string       `json:"text"`
	Rules []FaultState `json:"rules"`
}

func (f *Front) postFaults(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(r, 1<<20)
	if err != nil {
		WriteError(w, http.StatusBadRequest, BodyJSON, err.Error())
		return
	}
	faults, err := ParseFaults(string(body))
	if err == nil {
		err = f.SetFaults(faults)
	}
	if err != nil {
		WriteError(w, http.StatusBadRequest, BodyJSON, err.Error())
		return
	}
	WriteJSON(w, http.StatusOK, faultsAnswer{faults.String(), faults.State()})
}

// writeLedger streams the ledger, which has a line a write.
func (f *Front) writeLedger(w http.ResponseWriter) {
	l := f.Ledger()
	writes := l.Writes
	l.Writes = []Written{}
	b, err := Marshal(l)
	if err != nil {
		WriteError(w, http.StatusInternalServerError, BodyJSON, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	head, tail, _ := strings.Cut(string(b), `"writes":[]`)
	buf := append([]byte(head), `"writes":[`...)
	for i, one := range writes {
		b, err := Marshal(one)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if i > 0 {
			buf = append(buf, ",\n"...)
		}
		buf = append(buf, b...)
		if len(buf) > 64<<10 {
			if _, err := w.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
	}
	buf = append(buf, ']')
	_, _ = w.Write(append(buf, tail...))
}

// Kinds lists the kinds of which there are documents, sorted.
func (s *Store) Kinds() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.kinds)), func(name string) bool { return len(s.kinds[name].index) == 0 })
}

// UnknownKnobError is the error of a setting that a simulator does not have.
type UnknownKnobError struct {
	Vendor string
	Knob   Knob
	Names  []string // the settings that it has
}

// Error names the settings that there are.
func (e *UnknownKnobError) Error() string {
	return fmt.Sprintf("set %s=%s: the %s sandbox has no setting %q; it has %s (another sandbox's setting is written VENDOR.NAME)",
		e.Knob.Name, e.Knob.Value, e.Vendor, e.Knob.Name, strings.Join(e.Names, ", "))
}

// UnknownKnob is the error of a setting that a simulator does not have. names are the settings it has of its own.
func UnknownKnob(vendor string, k Knob, names []string) error {
	return &UnknownKnobError{vendor, k, append(slices.Clone(names), knobClock)}
}
