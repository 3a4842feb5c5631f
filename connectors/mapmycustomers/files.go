package mapmycustomers

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

const (
	fieldFile = "file"
	maxFile   = 5_000_000 // bytes of an attachment, before base64
)

// kinds are the beginnings of the files that the vendor takes.
var kinds = []struct{ name, begin, at8 string }{
	{"PDF", "%PDF-", ""},
	{"PNG", "\x89PNG\r\n\x1a\n", ""},
	{"JPEG", "\xff\xd8\xff", ""},
	{"GIF", "GIF87a", ""},
	{"GIF", "GIF89a", ""},
	{"WebP", "RIFF", "WEBP"},
}

func knownKind(begin []byte) bool {
	for _, k := range kinds {
		if bytes.HasPrefix(begin, []byte(k.begin)) && (k.at8 == "" || len(begin) >= 12 && string(begin[8:12]) == k.at8) {
			return true
		}
	}
	return false
}

// attachment opens the file of a cell below folder and checks its size and its first bytes. Nothing outside of folder
// can be reached, by no "..", absolute path or symbolic link. The error is for the person who mends the row.
func attachment(folder, name string) (*os.File, int64, error) {
	if folder == "" {
		return nil, 0, errors.New("no attachments folder was given; name one with --attachments")
	}
	name = strings.TrimSpace(name)
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return nil, 0, fmt.Errorf("%q is not a path below the attachments folder", name)
	}
	f, err := os.OpenInRoot(folder, local)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(name, `\`) {
		// Written on Windows.
		if other := filepath.FromSlash(strings.ReplaceAll(name, `\`, "/")); filepath.IsLocal(other) {
			f, err = os.OpenInRoot(folder, other)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("there is no file %q in the attachments folder", name)
	case err != nil:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		if !errors.Is(err, fs.ErrPermission) {
			// os keeps to itself which error says that a link leads out; no other one is to be expected here.
			return nil, 0, fmt.Errorf("file %q leads out of the attachments folder, or can't be opened: %w", name, err)
		}
		return nil, 0, fmt.Errorf("file %q can't be opened: %w", name, err)
	}
	size, err := examine(f, name)
	if err != nil {
		_ = f.Close() // opened for reading, and refused
		return nil, 0, err
	}
	return f, size, nil
}

func examine(f *os.File, name string) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("file %q can't be read: %w", name, err)
	}
	switch {
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%q is no file", name)
	case info.Size() == 0:
		return 0, fmt.Errorf("file %q is empty", name)
	case info.Size() > maxFile:
		return 0, fmt.Errorf("file %q has %d bytes; the vendor takes at most %d", name, info.Size(), maxFile)
	}
	begin := make([]byte, 12)
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("file %q can't be read: %w", name, err)
	}
	if !knownKind(begin[:n]) {
		return 0, fmt.Errorf("file %q is neither a PDF nor a PNG, JPEG, GIF or WebP image", name)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("file %q can't be read: %w", name, err)
	}
	return info.Size(), nil
}

// appendFile appends the file of a cell as a JSON string of plain base64.
func appendFile(dst []byte, folder, name string) ([]byte, error) {
	f, size, err := attachment(folder, name)
	if err != nil {
		return dst, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data := make([]byte, 0, size+1)
	b := bytes.NewBuffer(data)
	n, err := b.ReadFrom(io.LimitReader(f, maxFile+1))
	if err != nil {
		return dst, fmt.Errorf("file %q can't be read: %w", name, err)
	}
	if n != size {
		return dst, fmt.Errorf("file %q changed while it was read", name)
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b.Bytes()), '"'), nil
}

// Check returns the step that refuses rows whose attachment is missing, outside of the attachments folder, too large or
// of the wrong kind, before anything is sent. It looks at a file's size and first bytes only, and does nothing for rows
// without an attachment.
func Check(_ string, load schema.Load) (pipeline.Step, error) {
	return fileCheck{load.Attachments}, nil
}

type fileCheck struct{ folder string }

// Apply refuses rows with a bad attachment.
func (c fileCheck) Apply(b *record.Batch) error {
	at := b.Header.Index(fieldFile)
	if at < 0 {
		return nil
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() || at >= len(row.Values) || row.Values[at].IsEmpty() {
			continue
		}
		f, _, err := attachment(c.folder, row.Values[at].Text())
		if err != nil {
			row.Reject(record.Problem{Field: fieldFile, Rule: "file", Message: err.Error()})
			continue
		}
		_ = f.Close() // it was only looked at
	}
	return nil
}
