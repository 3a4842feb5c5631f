package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockName is the file in a run folder whose lock says that a process works on the run.
const lockName = "lock"

// Held is the error of a lock that another process holds. The operating system frees the locks of a process that died,
// so a Held always means that somebody is alive; who it is comes from what they left in the file, and may be missing.
type Held struct {
	What  string    `json:"what"` // "run folder …" or "target …"
	Run   string    `json:"run"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Host  string    `json:"host"`
}

// Error says who holds what, and what to do.
func (h *Held) Error() string {
	who := "another run"
	if h.Run != "" {
		who = "run " + h.Run
	}
	if h.PID != 0 {
		who += fmt.Sprintf(" (process %d", h.PID)
		if h.Host != "" {
			who += " on " + h.Host
		}
		if !h.Since.IsZero() {
			who += ", since " + h.Since.Format(time.RFC3339)
		}
		who += ")"
	}
	return fmt.Sprintf("%s is in use by %s: wait until it ends, or stop it, and try again", h.What, who)
}

// takeLock locks path or returns a *Held.
func takeLock(path, what, run string) (unlock func() error, err error) {
	l := flock.New(path)
	// Whoever merely asks if the lock is held holds it for a moment, so one refusal says little.
	for range 10 {
		ok, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if ok {
			host, _ := os.Hostname()
			data, err := json.Marshal(Held{What: what, Run: run, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second), Host: host})
			if err == nil {
				// Only for messages: without it the lock is as good.
				_ = os.WriteFile(path, append(data, '\n'), 0o600)
			}
			return func() error {
				_ = os.Truncate(path, 0)
				return l.Unlock()
			}, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	h := readHeld(path)
	h.What = what
	return nil, h
}

func readHeld(path string) *Held {
	h := &Held{}
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, h) != nil {
		return &Held{}
	}
	return h
}

// Holder returns who works on the run in a folder now, or nil.
func Holder(dir string) *Held {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	l := flock.New(path)
	if ok, err := l.TryRLock(); err != nil || ok {
		_ = l.Unlock()
		return nil
	}
	h := readHeld(path)
	h.What = "run folder " + dir
	return h
}

// LockTarget keeps all other runs of this machine's user away from an object of an account at a vendor. stateDir is
// where the locks are kept; run is told to whoever is kept away. If another process holds the lock, the error is a
// *Held.
func LockTarget(stateDir, vendor, account, object, run string) (unlock func() error, err error) {
	if stateDir == "" {
		return nil, fmt.Errorf("lock %s/%s: there is no folder to keep locks in: set HOME or XDG_STATE_HOME", vendor, object)
	}
	dir := filepath.Join(stateDir, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock %s/%s: %w", vendor, object, err)
	}
	_, sum, _ := strings.Cut(Digest([]byte(vendor+"\x00"+account+"\x00"+object)), ":")
	name := fileName(vendor) + "-" + fileName(object) + "-" + sum[:16] + ".lock"
	what := "target " + vendor + "/" + object
	if account != "" {
		what += " of account " + account
	}
	return takeLock(filepath.Join(dir, name), what, run)
}

// fileName keeps of s what any file system takes.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// IsHeld reports whether err is or wraps a *Held.
func IsHeld(err error) bool {
	var h *Held
	return errors.As(err, &h)
}
