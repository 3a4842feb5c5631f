package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"

	"github.com/spf13/pflag"
)

// memProfileRate is how many bytes are allocated for each that the profile of memory notes: the runtime's own default.
const memProfileRate = 512 << 10

// profiles are the files that the hidden flags name: what the process did, for `go tool pprof` and `go tool trace`.
type profiles struct {
	cpu, mem, mutex, trace string
}

func (p *profiles) register(fs *pflag.FlagSet) {
	for _, x := range []struct {
		to         *string
		name, what string
	}{
		{&p.cpu, "cpuprofile", "where the time goes"}, {&p.mem, "memprofile", "what was allocated"},
		{&p.mutex, "mutexprofile", "what waited for locks"}, {&p.trace, "traceprofile", "an execution trace"},
	} {
		fs.StringVar(x.to, x.name, "", "write to this `FILE` "+x.what)
		_ = fs.MarkHidden(x.name)
	}
}

// start begins what is to be watched from the start and returns what ends it and writes the rest.
func (p *profiles) start() (stop func() error, err error) {
	var ends []func() error
	stop = func() error {
		var problems []error
		for i := len(ends) - 1; i >= 0; i-- {
			problems = append(problems, ends[i]())
		}
		ends = nil
		return errors.Join(problems...)
	}
	begin := func(path, what string, begin func(*os.File) error, end func(*os.File) error) {
		if path == "" || err != nil {
			return
		}
		var f *os.File
		if f, err = os.Create(path); err != nil {
			err = fmt.Errorf("the %s profile: %w", what, err)
			return
		}
		if err = begin(f); err != nil {
			err = errors.Join(fmt.Errorf("the %s profile: %w", what, err), f.Close())
			return
		}
		ends = append(ends, func() error { return errors.Join(end(f), f.Close()) })
	}
	begin(p.cpu, "CPU", func(f *os.File) error { return pprof.StartCPUProfile(f) }, func(*os.File) error { pprof.StopCPUProfile(); return nil })
	begin(p.trace, "trace", func(f *os.File) error { return trace.Start(f) }, func(*os.File) error { trace.Stop(); return nil })
	begin(p.mutex, "mutex", func(*os.File) error { runtime.SetMutexProfileFraction(5); return nil }, func(f *os.File) error {
		return pprof.Lookup("mutex").WriteTo(f, 0)
	})
	begin(p.mem, "memory", func(*os.File) error { runtime.MemProfileRate = memProfileRate; return nil }, func(f *os.File) error {
		runtime.GC() // so that what is in use is told as of now
		return pprof.Lookup("allocs").WriteTo(f, 0)
	})
	if err != nil {
		err = errors.Join(err, stop())
	}
	return stop, err
}
