package sandbox

import (
	"context"
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

// Server serves simulators on loopback, each below its name: http://127.0.0.1:4711/mapmycustomers.
type Server struct {
	http   *http.Server
	listen net.Listener
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve has ended
	once   sync.Once
	err    error
}

// Serve starts to serve the simulators, by name, at addr: HOST:PORT with a loopback host, port 0 for any free one. It
// refuses every other address, because a simulator lets anyone in. It serves until Close is called or ctx ends; it does
// not close the simulators.
func Serve(ctx context.Context, addr string, sims map[string]Simulator) (*Server, error) {
	if err := loopbackOnly(addr); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	// A name such as localhost means what the machine's resolver says: look at what came of it.
	if tcp, ok := listener.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		_ = listener.Close()
		return nil, fmt.Errorf("sandbox: %s is not a loopback address", listener.Addr())
	}
	base, cancel := context.WithCancel(ctx)
	s := &Server{listen: listener, cancel: cancel, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           byName(sims),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("sandbox: %w", err)
		}
	}()
	context.AfterFunc(base, func() { _ = s.Close() })
	return s, nil
}

// loopbackOnly refuses what is plainly not loopback before anything listens there.
func loopbackOnly(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("sandbox address %q: want HOST:PORT, as in 127.0.0.1:0: %w", addr, err)
	}
	if strings.EqualFold(host, "localhost") {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("sandbox address %q: the sandbox lets anyone in, so it listens on loopback only: use 127.0.0.1, ::1 or localhost", addr)
	}
	return nil
}

// byName hands a request to the simulator that the first part of its path names.
func byName(sims map[string]Simulator) http.Handler {
	sims = maps.Clone(sims)
	names := slices.Sorted(maps.Keys(sims))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		sim, ok := sims[name]
		if !ok {
			WriteError(w, http.StatusNotFound, BodyJSON, fmt.Sprintf("there is no simulator %q; there are %s", name, strings.Join(names, ", ")))
			return
		}
		http.StripPrefix("/"+name, sim).ServeHTTP(w, r)
	})
}

// URL returns the base of the named simulator, without trailing slash.
func (s *Server) URL(name string) string {
	return "http://" + s.listen.Addr().String() + "/" + name
}

// Addr returns the address the server listens at.
func (s *Server) Addr() string { return s.listen.Addr().String() }

// Close stops serving. Requests under way get a moment to end; those that hang on purpose end at once. It returns why the
// server had stopped by itself, if it had.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			_ = s.http.Close()
		}
		<-s.done
	})
	<-s.done
	return s.err
}
