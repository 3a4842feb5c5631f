package readers

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync/atomic"
)

// zipEntries is how many entries of an archive are looked at; who packs more has not packed a table.
const zipEntries = 10_000

// openZip opens the one file in a zip archive.
func (in *file) openZip(size int64) (io.Reader, error) {
	if size == 0 {
		return nil, in.empty()
	}
	z, err := zip.NewReader(&counterAt{in.f, &in.read}, size)
	if err != nil {
		return nil, fmt.Errorf("%s: the name says zip, the content does not read as such: %w", in.path, cutOff(err))
	}
	entry, err := onlyFile(z.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.path, err)
	}
	in.inner = entry.Name
	r, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %s in it: %w", in.path, shownName(entry.Name), err)
	}
	in.unpack = func() { _ = r.Close() }
	return r, nil
}

// onlyFile returns the one file of an archive. Folders, and what a Mac adds beside a file, do not count.
func onlyFile(all []*zip.File) (*zip.File, error) {
	var files []*zip.File
	workbook := false
	for i, f := range all {
		if i == zipEntries {
			return nil, fmt.Errorf("the archive has %d entries; an archive with one file is read", len(all))
		}
		base := path.Base(f.Name)
		if f.Name == "[Content_Types].xml" {
			workbook = true
		}
		if strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") || base == ".DS_Store" || base == "Thumbs.db" || base == "desktop.ini" {
			continue
		}
		files = append(files, f)
	}
	switch {
	case workbook:
		return nil, errors.New("this is an Excel workbook and no archive; give the file a name that ends in .xlsx")
	case len(files) == 0:
		return nil, errors.New("the archive has no file in it")
	case len(files) > 1:
		const most = 5
		var names []string
		for _, f := range files[:min(len(files), most)] {
			names = append(names, shownName(f.Name))
		}
		if len(files) > most {
			names = append(names, "…")
		}
		return nil, fmt.Errorf("the archive has %d files in it: %s; unpack the one that is meant, as in unzip -p ARCHIVE %s, or pipe it in with - and --format", len(files), strings.Join(names, ", "), shownName(files[0].Name))
	case files[0].Flags&1 != 0:
		return nil, fmt.Errorf("%s in the archive is locked by a password; unpack it first", shownName(files[0].Name))
	}
	return files[0], nil
}

// shownName writes the name of an entry, which may be anything, so that it can be shown.
func shownName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return s
}

// counterAt counts what is read here and there in a file.
type counterAt struct {
	r io.ReaderAt
	n *atomic.Int64
}

func (c *counterAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}
