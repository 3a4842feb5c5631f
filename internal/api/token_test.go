package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issuer hands out numbered tokens.
type issuer struct {
	n     atomic.Int64
	life  time.Duration
	later time.Duration
	takes time.Duration
	err   error
}

func (i *issuer) issue(ctx context.Context) (Token, error) {
	if err := sleep(ctx, nil, nil, i.takes); err != nil {
		return Token{}, err
	}
	n := i.n.Add(1)
	if i.err != nil {
		return Token{}, i.err
	}
	now := time.Now()
	t := Token{Value: fmt.Sprintf("token-%d", n), Issued: now}
	if i.life != 0 {
		t.Expires = now.Add(i.life)
	}
	if i.later != 0 {
		t.NotBefore = now.Add(i.later)
	}
	return t, nil
}

// TestTokenOnce issues one token for many goroutines of several stores, as for several processes.
func TestTokenOnce(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		stores := 1
		if dir != "" {
			stores = 3
		}
		t.Run(fmt.Sprintf("%d stores", stores), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := &issuer{takes: 300 * time.Millisecond, life: time.Hour}
				var wg sync.WaitGroup
				for range stores {
					s := NewTokenStore(Env{CacheDir: dir}, "CRM.example", "ada", "secret")
					for range 8 {
						wg.Go(func() {
							for range 3 {
								if tok, err := s.Get(t.Context(), is.issue); err != nil || tok.Value != "token-1" {
									t.Errorf("%v, %v", tok, err)
								}
							}
						})
					}
				}
				wg.Wait()
				if n := is.n.Load(); n != 1 {
					t.Errorf("%d tokens were issued", n)
				}
			})
		})
	}
}

func TestTokenLife(t *testing.T) {
	cases := []struct {
		name        string
		life        time.Duration
		good, spent time.Duration // after so long it is still, no longer used
	}{
		{"short", time.Minute, 47 * time.Second, 49 * time.Second},
		{"half an hour", 30 * time.Minute, 23 * time.Minute, 25 * time.Minute},
		{"half a year", 180 * 24 * time.Hour, 178 * 24 * time.Hour, 179*24*time.Hour + time.Minute},
		{"forever", 0, 100 * 365 * 24 * time.Hour, 0},
	}
	for _, c := range cases {
		for _, dir := range []string{"", t.TempDir()} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := &issuer{life: c.life}
					env := Env{CacheDir: dir}
					s := NewTokenStore(env, "h", "a", "s")
					get := func() string {
						if dir != "" { // another run
							s = NewTokenStore(env, "h", "a", "s")
						}
						tok, err := s.Get(t.Context(), is.issue)
						if err != nil {
							t.Fatal(err)
						}
						return tok.Value
					}
					got := []string{get()}
					time.Sleep(c.good)
					got = append(got, get())
					if c.spent > 0 {
						time.Sleep(c.spent - c.good)
						got = append(got, get())
					}
					if diff := cmp.Diff([]string{"token-1", "token-1", "token-2"}[:len(got)], got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// TestTokenKeys keeps accounts, hosts and secrets apart.
func TestTokenKeys(t *testing.T) {
	env := Env{CacheDir: t.TempDir()}
	is := &issuer{life: time.Hour}
	seen := map[string]bool{}
	for _, k := range [][3]string{{"h", "a", "s"}, {"h2", "a", "s"}, {"h", "a2", "s"}, {"h", "a", "s2"}, {"ha", "", "s"}} {
		tok, err := NewTokenStore(env, k[0], k[1], k[2]).Get(t.Context(), is.issue)
		if err != nil || seen[tok.Value] {
			t.Errorf("%v: %v %v", k, tok, err)
		}
		seen[tok.Value] = true
	}
	entries, err := os.ReadDir(filepath.Join(env.CacheDir, "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || open(fi) || strings.Contains(e.Name(), ".new-") {
			t.Errorf("%s %v %v", e.Name(), fi.Mode(), err)
		}
	}
}

func TestTokenNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		s := NewTokenStore(Env{Stop: stop}, "h", "a", "s")
		is := &issuer{later: 10 * time.Second}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := s.Get(ctx, is.issue); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if tok, err := s.Get(t.Context(), is.issue); err != nil || tok.Value != "token-1" || time.Since(begin) != 10*time.Second+tokenSkew {
			t.Errorf("%v %v after %v", tok, err, time.Since(begin))
		}
		s.Renew(Token{Value: "token-1"})
		time.AfterFunc(time.Second, func() { close(stop) })
		if _, err := s.Get(t.Context(), is.issue); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		far := NewTokenStore(Env{}, "h", "a", "s")
		if _, err := far.Get(t.Context(), (&issuer{later: time.Hour}).issue); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Error(err)
		}
	})
}

// TestTokenRenew replaces a refused token once, whoever was refused with it, and never goes back to it.
func TestTokenRenew(t *testing.T) {
	env := Env{CacheDir: t.TempDir()}
	is := &issuer{life: time.Hour}
	a, b := NewTokenStore(env, "h", "a", "s"), NewTokenStore(env, "h", "a", "s")
	get := func(s *TokenStore) Token {
		tok, err := s.Get(t.Context(), is.issue)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	old := get(a)
	if got := get(b); got.Value != old.Value {
		t.Fatalf("%v, %v", got, old)
	}
	a.Renew(old)
	a.Renew(old)
	if got := get(a).Value; got != "token-2" {
		t.Errorf("a has %s", got)
	}
	a.Renew(old) // late: someone else was refused with the old one
	if got := get(a).Value; got != "token-2" {
		t.Errorf("a has %s", got)
	}
	b.Renew(old) // finds the one of a
	if got := get(b).Value; got != "token-2" {
		t.Errorf("b has %s", got)
	}
	if is.n.Load() != 2 {
		t.Errorf("%d issued", is.n.Load())
	}
}

// TestTokenErrors tries a wrong password once, not once per goroutine, and outlives a caller who gives up.
func TestTokenErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := errors.New("wrong password")
		is := &issuer{takes: time.Second, err: wrong}
		s := NewTokenStore(Env{}, "h", "a", "s")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := s.Get(t.Context(), is.issue); !errors.Is(err, wrong) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if is.n.Load() != 1 {
			t.Errorf("tried %d times", is.n.Load())
		}
		is.err = nil
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		wg.Go(func() {
			if _, err := s.Get(ctx, is.issue); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		if tok, err := s.Get(t.Context(), is.issue); err != nil || tok.Value != "token-2" {
			t.Errorf("%v %v", tok, err)
		}
		wg.Wait()
		if _, err := NewTokenStore(Env{}, "h", "a", "s").Get(t.Context(), func(context.Context) (Token, error) { return Token{}, nil }); err == nil {
			t.Error("an empty token passed")
		}
	})
}

// TestTokenFile passes over what is in the way and puts a good file there.
func TestTokenFile(t *testing.T) {
	now := time.Now()
	file := func(key string, tok Token) []byte {
		b, err := json.Marshal(tokenFile{Key: key, Token: tok})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	outside := filepath.Join(t.TempDir(), "outside")
	cases := []struct {
		name  string
		spoil func(path, key string) error
	}{
		{"empty", func(p, _ string) error { return os.WriteFile(p, nil, 0o600) }},
		{"no JSON", func(p, _ string) error { return os.WriteFile(p, []byte("{"), 0o600) }},
		{"huge", func(p, _ string) error { return os.WriteFile(p, make([]byte, 1<<20), 0o600) }},
		{"another account's", func(p, _ string) error {
			return os.WriteFile(p, file("other", Token{Value: "stolen", Issued: now}), 0o600)
		}},
		{"from the future", func(p, k string) error {
			return os.WriteFile(p, file(k, Token{Value: "odd", Issued: now.Add(time.Hour)}), 0o600)
		}},
		{"over", func(p, k string) error {
			return os.WriteFile(p, file(k, Token{Value: "old", Issued: now.Add(-time.Hour), Expires: now.Add(-time.Minute)}), 0o600)
		}},
		{"good in a year", func(p, k string) error {
			return os.WriteFile(p, file(k, Token{Value: "odd", Issued: now, NotBefore: now.Add(9000 * time.Hour)}), 0o600)
		}},
		{"not for a header", func(p, k string) error {
			return os.WriteFile(p, file(k, Token{Value: "a\r\nX-Evil: 1", Issued: now}), 0o600)
		}},
		{"for everybody", func(p, k string) error {
			return errors.Join(os.WriteFile(p, file(k, Token{Value: "planted", Issued: now}), 0o600), os.Chmod(p, 0o644))
		}},
		{"a link", func(p, k string) error {
			return errors.Join(os.Remove(p), os.WriteFile(outside, file(k, Token{Value: "planted", Issued: now}), 0o600), os.Symlink(outside, p))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			env := Env{CacheDir: t.TempDir()}
			is := &issuer{life: time.Hour}
			s := NewTokenStore(env, "h", "a", "s")
			if _, err := s.Get(t.Context(), is.issue); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(s.path, s.key); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if tok, err := NewTokenStore(env, "h", "a", "s").Get(t.Context(), is.issue); err != nil || tok.Value != "token-2" {
					t.Errorf("%v %v", tok, err)
				}
			}
			if fi, err := os.Lstat(s.path); err != nil || !fi.Mode().IsRegular() || open(fi) {
				t.Errorf("%v %v", fi, err)
			}
		})
	}
	if b, err := os.ReadFile(outside); err != nil || !strings.Contains(string(b), "planted") {
		t.Errorf("the file behind the link was changed: %s %v", b, err)
	}
	t.Run("no folder", func(t *testing.T) {
		env := Env{CacheDir: filepath.Join(outside, "x")}
		is := &issuer{}
		s := NewTokenStore(env, "h", "a", "s")
		for range 2 {
			if tok, err := s.Get(t.Context(), is.issue); err != nil || tok.Value != "token-1" {
				t.Errorf("%v %v", tok, err)
			}
		}
	})
	t.Run("the folder is a link", func(t *testing.T) {
		dir, elsewhere := t.TempDir(), t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(dir, "tokens")); err != nil {
			t.Fatal(err)
		}
		if _, err := NewTokenStore(Env{CacheDir: dir}, "h", "a", "s").Get(t.Context(), (&issuer{}).issue); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
			t.Errorf("%v %v", left, err)
		}
	})
}

// TestTokenStuck waits for a process that is fetching, and not for ever for one that is stuck.
func TestTokenStuck(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		s := NewTokenStore(Env{CacheDir: dir, Stop: stop}, "h", "a", "s")
		held := newLock(s.lock)
		if ok, err := held.TryLock(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		defer closeLock(held)
		begin := time.Now()
		if _, err := s.Get(t.Context(), (&issuer{}).issue); err != nil || time.Since(begin) < tokenLock || time.Since(begin) > tokenLock+time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		s = NewTokenStore(Env{CacheDir: dir, Stop: stop}, "h", "b", "s")
		s.lock = held.Path()
		time.AfterFunc(time.Second, func() { close(stop) })
		if _, err := s.Get(t.Context(), (&issuer{}).issue); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
	})
}
