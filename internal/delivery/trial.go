package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// maxSends is how often a record is sent when each time its outcome is unknown and a lookup says that it was not
// applied.
const maxSends = 4

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
	Refuse(rows, record.Problem{Rule: "vendor", Message: fmt.Sprintf("the vendor failed on this row %d times and not on others; it was looked up and is not there; the last failure: %s", sends, res.Err.Error())})
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
	for sends := 1; ; sends++ {
		try.send()
		res, err := o.Send()
		if err != nil {
			return err
		}
		switch {
		case res.Verdict == Refused:
			return k.Reject(res, o.Rows...)
		case res.Verdict == Taken:
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
				return nil
			}
		}
		if sends == maxSends {
			switch {
			case k.Load.Unsure == schema.Resend:
				k.Halt(res.Err)
			case try.poison():
				return k.poison(res, sends, o.Rows...)
			}
			return res.Err
		}
		try.fail()
		if err := k.Sleep(ctx, time.Second<<min(sends-1, 4)); err != nil {
			k.Halt(err)
			return err
		}
	}
}
