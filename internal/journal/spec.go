package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"
)

// Spec says what a run is: everything that is needed to rebuild it, and to tell that the world has not changed
// between two attempts. It holds no secret; Account names the account only.
type Spec struct {
	Run        string            `json:"run"`
	Command    string            `json:"command"`              // import, export, undo
	Target     string            `json:"target"`               // CONNECTION/OBJECT as given
	Connection string            `json:"connection,omitempty"` // the target's first half
	Vendor     string            `json:"vendor,omitempty"`
	Object     string            `json:"object,omitempty"`
	Account    string            `json:"account,omitempty"` // who we are at the vendor
	Mode       string            `json:"mode,omitempty"`
	Key        string            `json:"key,omitempty"` // what upsert matches on
	Source     Source            `json:"source"`
	Mapping    Mapping           `json:"mapping"`
	Schema     string            `json:"schema,omitempty"`  // digest of the vendor's schema
	Options    map[string]string `json:"options,omitempty"` // the other flags, by name
	Parent     string            `json:"parent,omitempty"`  // the run that this one mends or undoes
	Started    time.Time         `json:"started_at"`
	Tool       string            `json:"tool,omitempty"` // version of crmetl
}

// Source is the file that an import reads.
type Source struct {
	Path     string    `json:"path,omitempty"`   // absolute; "-" is standard input
	Digest   string    `json:"digest,omitempty"` // "blake3:" and hexadecimal digits
	Size     int64     `json:"size,omitempty"`   // bytes
	Modified time.Time `json:"modified,omitzero"`
}

// Mapping is the mapping that a run uses, in full: the file may be gone or changed when the run is resumed.
type Mapping struct {
	Name   string `json:"name,omitempty"` // file or shipped name
	Text   string `json:"text,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Digest returns the digest of data in the form that a Spec keeps.
func Digest(data []byte) string {
	sum := blake3.Sum256(data)
	return "blake3:" + hex.EncodeToString(sum[:])
}

// SourceOf reads a file to its end and returns what identifies it.
func SourceOf(path string) (Source, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Source{}, err
	}
	f, err := os.Open(abs)
	if err != nil {
		return Source{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Source{}, err
	}
	h := blake3.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return Source{}, fmt.Errorf("read %s: %w", abs, err)
	}
	return Source{Path: abs, Digest: "blake3:" + hex.EncodeToString(h.Sum(nil)), Size: n, Modified: info.ModTime().UTC()}, nil
}

// Check compares the run's Spec with the world as it is now and reports every difference that makes resuming unsafe:
// a changed source would give other rows the same numbers, another account would get the rest of the rows.
func (s Spec) Check(now Spec) error {
	var problems []error
	differ := func(what, then, today, todo string) {
		if then != today {
			problems = append(problems, fmt.Errorf("%s is not what it was when run %s began (then %s, now %s): %s", what, s.Run, orNone(then), orNone(today), todo))
		}
	}
	differ("the content of "+s.Source.Path, s.Source.Digest, now.Source.Digest, "put the file back as it was, or start a new run")
	differ("the target", s.Target, now.Target, "resume with the run's own target")
	differ("the account", s.Account, now.Account, "use the credentials of the account that the run writes to")
	differ("the mode", s.Mode, now.Mode, "resume with the run's own mode")
	differ("the key", s.Key, now.Key, "resume with the run's own key")
	differ("the mapping", s.Mapping.Digest, now.Mapping.Digest, "resume with the mapping that the journal holds")
	differ("the vendor's schema", s.Schema, now.Schema, "resume with the crmetl that began the run ("+orNone(s.Tool)+"), or start a new run")
	return errors.Join(problems...)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
