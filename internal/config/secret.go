package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// reference says where a secret is kept.
type reference struct {
	kind string // env, file, keyring or cmd
	rest string
}

func referenceOf(text string) (reference, bool) {
	kind, rest, ok := strings.Cut(text, ":")
	if !ok {
		return reference{}, false
	}
	switch kind {
	case "env", "file", "keyring", "cmd":
		return reference{kind, strings.TrimSpace(rest)}, true
	}
	return reference{}, false
}

// what names the reference in messages. A command is not repeated: it may hold what should stay hidden.
func (ref reference) what() string {
	switch ref.kind {
	case "env":
		return "the environment variable " + ref.rest
	case "file":
		return "the file " + ref.rest
	case "keyring":
		return "the keyring entry " + ref.rest
	}
	return "the command"
}

const (
	commandTimeout = time.Minute // a person may have to type a PIN
	maxSecret      = 64 << 10    // bytes of a secret's file
)

// seek fetches a secret.
func seek(ref reference, r *resolver) (string, error) {
	if ref.rest == "" {
		return "", fmt.Errorf("nothing stands after %q", ref.kind+":")
	}
	switch ref.kind {
	case "env":
		text := r.getenv(ref.rest)
		if text == "" {
			return "", errors.New("it is not set, or empty")
		}
		return text, nil
	case "file":
		return r.secretFile(ref.rest)
	case "keyring":
		service, user, ok := strings.Cut(ref.rest, "/")
		if !ok || service == "" || user == "" {
			return "", errors.New("it must be written keyring:SERVICE/USER")
		}
		text, err := keyring.Get(service, user)
		if err != nil {
			return "", fmt.Errorf("the keyring of this machine does not give it: %w", err)
		}
		return text, nil
	}
	return firstLineOf(ref.rest, commandTimeout)
}

// secretFile reads a file; its path is relative to the config file, or to the current folder if there is none.
func (r *resolver) secretFile(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home := r.getenv("HOME")
		if home == "" {
			return "", errors.New("~ stands for the home folder, and HOME is not set")
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) && r.file != nil && r.file.Path != "" {
		path = filepath.Join(filepath.Dir(r.file.Path), path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", pathless(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", pathless(err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("it is longer than %d bytes: that is no secret", maxSecret)
	}
	r.warnReadable(path, "connection "+r.name+": it holds a secret")
	return strings.TrimRight(string(text), "\r\n"), nil
}

// pathless drops the path from a file error, since the message names the file already.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// firstLineOf runs a command in the platform's shell and returns the first line of its output. What the command says
// on standard error is not repeated.
func firstLineOf(command string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], command)
	cmd.WaitDelay = time.Second // a grandchild may keep the pipe open
	out := &head{max: maxSecret}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("it did not end within %s", timeout)
	case err != nil:
		return "", fmt.Errorf("%w; run it in a shell to see why", err)
	}
	line, _, _ := bytes.Cut(out.Bytes(), []byte{'\n'})
	return strings.TrimRight(string(line), "\r"), nil
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	max int
}

// Write keeps what fits and drops the rest.
func (h *head) Write(p []byte) (int, error) {
	if room := h.max - h.Len(); room > 0 {
		_, _ = h.Buffer.Write(p[:min(room, len(p))]) // a Buffer takes everything
	}
	return len(p), nil
}

// interpolate replaces each ${NAME} by the environment's value. $${ stands for ${ itself.
func interpolate(text string, getenv func(string) string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			return "", errors.New("a \"${\" has no \"}\"; write $${ for the characters themselves")
		}
		if !isName(name) {
			return "", errors.New("between \"${\" and \"}\" must stand the name of an environment variable; write $${ for the characters themselves")
		}
		value := getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set, or empty", name)
		}
		b.WriteString(value)
		text = rest
	}
}

func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
