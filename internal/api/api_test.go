package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	gone := errors.New("gone")
	soon := func(end func()) { time.AfterFunc(time.Second, end) }
	tests := []struct {
		name  string
		d     time.Duration
		stops func(cancel func(error), stop chan struct{})
		err   error
		took  time.Duration
	}{
		{"to its end", time.Minute, func(func(error), chan struct{}) {}, nil, time.Minute},
		{"nothing to wait for", 0, func(func(error), chan struct{}) {}, nil, 0},
		{"the user stops", time.Minute, func(_ func(error), stop chan struct{}) { soon(func() { close(stop) }) }, ErrStopped, time.Second},
		{"the user has stopped", time.Minute, func(_ func(error), stop chan struct{}) { close(stop) }, ErrStopped, 0},
		{"the context ends", time.Minute, func(cancel func(error), _ chan struct{}) { soon(func() { cancel(gone) }) }, gone, time.Second},
		{"the context has ended", time.Minute, func(cancel func(error), _ chan struct{}) { cancel(gone) }, gone, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				stop := make(chan struct{})
				tt.stops(cancel, stop)
				begin := time.Now()
				err := Env{Stop: stop}.Sleep(ctx, tt.d)
				if took := time.Since(begin); !errors.Is(err, tt.err) || took != tt.took {
					t.Errorf("after %v: %v; want %v after %v", took, err, tt.err, tt.took)
				}
			})
		})
	}
	if err := (Env{}).Sleep(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("without a stop: %v", err)
	}
}
