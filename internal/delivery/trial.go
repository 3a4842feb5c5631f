package delivery

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// How often a record is sent when each time its outcome is unknown and a lookup says that it was not applied: the more
// often, the more of the others' calls fail as well. A row must not be refused for its bad luck.
const (
	minSends = 4
	maxSends = 12
	badLuck  = 1e-7 // the likelihood at which so many failures on end are no longer the network's
)

// noise is how often a call comes to nothing that is no fault of its record: those of records that were delivered in
// the end.
type noise struct{ sends, failed int64 }

// enough is how many failures on end say that a record is in trouble. Before much is known, one call in twenty is taken
// for lost.
func (n noise) enough() int {
	share := float64(n.failed+1) / float64(n.sends+20)
	sends, luck := minSends, math.Pow(share, minSends)
	for ; luck > badLuck && sends < maxSends; sends++ {
		luck *= share
	}
	return sends
}

// trial is the way of one record whose sending fails time and again.
type trial struct {
	k      *Courier
	sends  int
	before int64 // answered writes when it was sent for the second time: those that were under way at the first have landed
	last   int64 // and when it was last sent
	failed bool
	stuck  bool
}

func (t *trial) send() {
	t.last = t.k.writes()
	if t.sends++; t.sends <= 2 {
		t.before = t.last
	}
}

func (t *trial) fail() { t.count(true, 1) }

// delivered ends the trial of a record whose last call did its work.
func (t *trial) delivered() {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.noise.sends += int64(t.sends)
	t.k.noise.failed += int64(t.sends - 1)
}

// over reports whether the record has failed often enough.
func (t *trial) over() bool {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.sends >= t.k.noise.enough()
}

// end takes the record off those that fail, unless it was given up: it fails still.
func (t *trial) end() {
	if !t.stuck {
		t.count(false, -1)
	}
}

func (t *trial) count(failed bool, by int) {
	if t.failed == failed {
		return
	}
	t.failed = failed
	t.k.mu.Lock()
	t.k.failed += by
	t.k.mu.Unlock()
}

// poison reports whether it is the record, and not the vendor, that is in trouble: other writes were answered between
// its second attempt and its last; or others were answered before, and no other record is failing.
func (t *trial) poison() bool {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.stuck = t.last == t.before && (t.k.wrote == 0 || t.k.failed > 1)
	return !t.stuck
}

// poison rejects a record on which the vendor failed with every attempt, though it is known not to be there.
func (k *Courier) poison(res Result, sends int, rows ...*record.Row) error {
	Refuse(rows, record.Problem{Rule: "vendor", Message: fmt.Sprintf("the vendor failed on this row %d times, and on others far less often; it was looked up and is not there; the last failure: %s", sends, res.Err.Error())})
	return k.Settle(res, fmt.Sprintf("given up after %d attempts", sends), rows...)
}

// Once is a record that must not be made twice, on its way to the vendor.
type Once struct {
	Rows []*record.Row // that make it
	Mark string        // part of the note of its acceptance; see Mark
	// Send makes the call once.
	Send func() (Result, error)
	// Taken gives the rows their fate after a call that the vendor took.
	Taken func(Result)
	// Lost, if set, is told that the record may be there and that nobody will know.
	Lost func()
	// Check finds out what became of a call whose outcome is unknown. It settles the rows and returns true, or tells
	// the ledger that the call had no effect and returns false: the record is sent again.
	Check func(Result) (done bool, err error)
}

// Make sends a record until its outcome is known. Nothing is sent twice without a lookup in between, unless the user
// asked for just that.
func (k *Courier) Make(ctx context.Context, o Once) error {
	try := &trial{k: k}
	defer try.end()
	for {
		try.send()
		res, err := o.Send()
		if err != nil {
			return err
		}
		switch {
		case res.Verdict == Refused:
			try.delivered()
			return k.Reject(res, o.Rows...)
		case res.Verdict == Taken:
			try.delivered()
			o.Taken(res)
			return k.Settle(res, res.Note()+" "+o.Mark, o.Rows...)
		case k.Load.Unsure == schema.Hold:
			if o.Lost != nil {
				o.Lost()
			}
			return k.Unsure(res, "the call broke off and its outcome is not known: "+res.Err.Error(), o.Rows...)
		case k.Load.Unsure == schema.Check:
			done, err := o.Check(res)
			if err != nil {
				k.Halt(err)
				return err
			}
			if done {
				try.delivered()
				return nil
			}
		}
		if try.over() {
			switch {
			case k.Load.Unsure == schema.Resend:
				k.Halt(res.Err)
			case try.poison():
				return k.poison(res, try.sends, o.Rows...)
			}
			return res.Err
		}
		try.fail()
		if err := k.Sleep(ctx, time.Second<<min(try.sends-1, 2)); err != nil {
			k.Halt(err)
			return err
		}
	}
}
