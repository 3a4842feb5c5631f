package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	tokenSkew    = 500 * time.Millisecond // a vendor's clock may be this much behind
	maxTokenWait = 15 * time.Minute       // no vendor lets a token wait longer: a clock is wrong
	maxRefresh   = 24 * time.Hour         // a new token is fetched this much before the end, or 20 % of a short life
	tokenLock    = 2 * time.Minute        // how long another process may take to fetch one
	maxTokenFile = 64 << 10
)

// Token is a credential that a vendor issues for a time.
type Token struct {
	Value     string    `json:"value"`
	NotBefore time.Time `json:"not_before,omitzero"` // not accepted earlier; zero: good at once
	Expires   time.Time `json:"expires,omitzero"`    // zero: never
	Issued    time.Time `json:"issued"`              // zero: when Get received it
}

// tokenFile is what is kept on disk.
type tokenFile struct {
	Key   string `json:"key"`
	Token Token  `json:"token"`
}

// fresh reports whether a token has enough of its life before it.
func (t Token) fresh(now time.Time) bool {
	if t.Value == "" {
		return false
	}
	if t.Expires.IsZero() {
		return true
	}
	margin := min(t.Expires.Sub(t.Issued)/5, maxRefresh)
	return now.Before(t.Expires.Add(-margin))
}

// believable reports whether a token read from a file can be ours: not from the future, and fit for a header.
func (t Token) believable(now time.Time) bool {
	return t.Value != "" && len(t.Value) < maxTokenFile && !strings.ContainsFunc(t.Value, func(r rune) bool { return r <= ' ' || r > '~' }) &&
		!t.Issued.After(now.Add(time.Minute)) && !t.NotBefore.After(t.Issued.Add(maxTokenWait))
}

// TokenStore keeps one account's token between calls, goroutines, processes and runs. Its methods are safe for many
// goroutines. Two stores of one account share through Env.CacheDir; without it each has its own.
type TokenStore struct {
	env  Env
	key  string // of the account; stands in the file, so that one from elsewhere is known
	path string // "" keeps it in memory
	lock string
	busy chan struct{} // holds one: whoever looks at what follows
	tok  Token
	bad  string  // a token that was refused: one that a file still holds is passed over
	wait *flight // set while someone fetches
}

// flight is a fetch under way. Those who come meanwhile get its result, an error too: a wrong password tried once by
// each goroutine locks accounts.
type flight struct {
	done chan struct{}
	tok  Token
	err  error
}

// NewTokenStore returns the store of an account. host is the host that issues the tokens; of the secret only a hash is
// used, so that a changed password never meets an old token.
func NewTokenStore(env Env, host, account, secret string) *TokenStore {
	s := &TokenStore{env: env, busy: make(chan struct{}, 1)}
	if env.CacheDir == "" {
		return s
	}
	dir, err := privateDir(env.CacheDir, "tokens")
	if err != nil {
		s.warn("tokens can't be kept for later runs", err)
		return s
	}
	sum := sha256.Sum256([]byte(secret))
	s.key = accountKey(strings.ToLower(host), account, hex.EncodeToString(sum[:]))
	s.path, s.lock = filepath.Join(dir, s.key+".json"), filepath.Join(dir, s.key+".lock")
	return s
}

func (s *TokenStore) warn(msg string, err error) {
	if s.env.Log != nil {
		s.env.Log.Warn(msg, "error", err.Error())
	}
}

// Get returns a token that is good now: the one it has, one that another process has left, or a new one from issue,
// which is called by one goroutine of one process at a time. A token that is not good yet is waited for, until ctx
// ends or Env.Stop is closed (ErrStopped).
func (s *TokenStore) Get(ctx context.Context, issue func(context.Context) (Token, error)) (Token, error) {
	for {
		t, f, lead, err := s.join(ctx)
		if err != nil {
			return Token{}, err
		}
		if lead {
			f.tok, f.err = s.fetch(ctx, issue)
			s.land(f)
		}
		if f != nil {
			select {
			case <-f.done:
			case <-ctx.Done():
				return Token{}, context.Cause(ctx)
			}
			if f.err != nil {
				if !lead && (errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded)) && ctx.Err() == nil {
					continue // whoever fetched gave up, which is nothing to us
				}
				return Token{}, f.err
			}
			t = f.tok
		}
		if t.NotBefore.IsZero() {
			return t, nil
		}
		d := time.Until(t.NotBefore.Add(tokenSkew))
		if d > maxTokenWait {
			return Token{}, fmt.Errorf("the token is good only in %v: check this machine's clock", d.Round(time.Second))
		}
		if d > 0 {
			if err := sleep(ctx, s.env.Stop, nil, d); err != nil {
				return Token{}, err
			}
		}
		return t, nil
	}
}

// Renew forgets old, which was refused, so that the next Get returns another one.
func (s *TokenStore) Renew(old Token) {
	s.busy <- struct{}{}
	defer func() { <-s.busy }()
	s.bad = old.Value
	if s.tok.Value == old.Value {
		s.tok = Token{}
	}
}

// join returns the token in memory if it is good, else the fetch to wait for; lead says that it is the caller's to make.
func (s *TokenStore) join(ctx context.Context) (t Token, f *flight, lead bool, err error) {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return t, nil, false, context.Cause(ctx)
	}
	if s.tok.fresh(time.Now()) {
		return s.tok, nil, false, nil
	}
	if s.wait != nil {
		return t, s.wait, false, nil
	}
	s.wait = &flight{done: make(chan struct{})}
	return t, s.wait, true, nil
}

// land ends a fetch.
func (s *TokenStore) land(f *flight) {
	s.busy <- struct{}{}
	defer func() { <-s.busy }()
	if f.err == nil {
		s.tok = f.tok
	}
	s.wait = nil
	close(f.done)
}

// fetch takes the token from the file, or has one issued and leaves it there, alone among all processes.
func (s *TokenStore) fetch(ctx context.Context, issue func(context.Context) (Token, error)) (Token, error) {
	if s.path != "" {
		if t, ok := s.load(); ok {
			return t, nil
		}
		unlock, err := s.alone(ctx)
		if err != nil {
			return Token{}, err
		}
		defer unlock()
		if t, ok := s.load(); ok {
			return t, nil
		}
	}
	t, err := issue(ctx)
	if err != nil {
		return Token{}, err
	}
	if t.Value == "" {
		return Token{}, errors.New("the vendor issued an empty token")
	}
	if t.Issued.IsZero() {
		t.Issued = time.Now()
	}
	if s.path != "" {
		b, err := json.Marshal(tokenFile{Key: s.key, Token: t})
		if err == nil {
			err = writePrivate(s.path, b)
		}
		if err != nil {
			s.warn("the token can't be kept for later runs", err)
		}
	}
	return t, nil
}

// load reads the file. What is damaged, foreign, stale or was refused is as if it were not there.
func (s *TokenStore) load() (Token, bool) {
	b, err := readPrivate(s.path, maxTokenFile)
	if err != nil {
		return Token{}, false
	}
	var f tokenFile
	now := time.Now()
	if json.Unmarshal(b, &f) != nil || f.Key != s.key || !f.Token.believable(now) || !f.Token.fresh(now) {
		return Token{}, false
	}
	s.busy <- struct{}{}
	defer func() { <-s.busy }()
	return f.Token, f.Token.Value != s.bad
}

// alone takes the lock across processes. Whoever holds it too long is stuck: one token too many does no harm then.
func (s *TokenStore) alone(ctx context.Context) (unlock func(), err error) {
	lock := newLock(s.lock)
	pause := 5 * time.Millisecond
	for begin := time.Now(); ; {
		ok, err := lock.TryLock()
		if err != nil {
			s.warn("other processes can't be told that a token is being fetched", err)
		}
		if ok || err != nil || time.Since(begin) > tokenLock {
			return func() { closeLock(lock) }, nil
		}
		if err := sleep(ctx, s.env.Stop, nil, pause); err != nil {
			closeLock(lock)
			return nil, err
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func closeLock(l *flock.Flock) { _ = l.Close() }
