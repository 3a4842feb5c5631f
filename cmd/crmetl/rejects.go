package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/mattn/go-isatty"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/record"
)

// rejects writes refused rows as a run's rejected.csv has them. The file appears with the first of them.
type rejects struct {
	path  string
	lines *report.Lines
	f     *os.File
	w     *bufio.Writer
	buf   []byte
}

func newRejects(path string, origin *record.Header) *rejects {
	return &rejects{path: path, lines: report.RefusedLines(origin)}
}

// retire writes the refused rows of a batch.
func (r *rejects) retire(b *record.Batch) error {
	for i := range b.Rows {
		if b.Rows[i].Fate != record.Rejected {
			continue
		}
		if r.f == nil {
			if err := r.create(); err != nil {
				return err
			}
		}
		r.buf = r.lines.Append(r.buf[:0], &b.Rows[i])
		if _, err := r.w.Write(r.buf); err != nil {
			return err
		}
	}
	return nil
}

func (r *rejects) create() (err error) {
	if err = os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	if r.f, err = os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	r.w = bufio.NewWriter(r.f)
	_, err = r.w.Write(r.lines.AppendHeader(nil))
	return err
}

// written is the file's path, "" if no row was refused.
func (r *rejects) written() string {
	if r.f == nil {
		return ""
	}
	return r.path
}

func (r *rejects) close() error {
	if r.f == nil {
		return nil
	}
	return errors.Join(r.w.Flush(), r.f.Close())
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// isTerminal reports whether somebody sits at the other end.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
