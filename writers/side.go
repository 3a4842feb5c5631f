package writers

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"

	"github.com/crmetl/crmetl/writers/csv"
	"github.com/crmetl/crmetl/writers/internal/whole"
	"github.com/crmetl/crmetl/writers/xlsx"
)

// sideFile is a CSV file beside a workbook, with the texts that no cell can hold. It exists only if there are any.
type sideFile struct {
	path string
	out  *whole.File
	buf  []byte
}

// add writes one text and returns the name of the file, without its folder.
func (s *sideFile) add(c xlsx.LongText) (string, error) {
	name := filepath.Base(s.path)
	if s.out == nil {
		var err error
		if s.out, err = whole.Create(s.path); err != nil {
			return "", err
		}
		s.buf = csv.AppendRecord(s.buf[:0], []string{"sheet", "cell", "row", "column", "text"}, ",")
		if _, err := s.out.Write(s.buf); err != nil {
			return "", err
		}
	}
	s.buf = csv.AppendRecord(s.buf[:0], []string{c.Sheet, c.Cell, strconv.FormatInt(c.Row, 10), c.Column, c.Text}, ",")
	_, err := s.out.Write(s.buf)
	return name, err
}

// withSide is a workbook and the file beside it. The file is in its place before the workbook, which names it.
type withSide struct {
	encoder
	side *sideFile
}

// Commit ends the workbook and puts the file beside it in its place.
func (w *withSide) Commit(ctx context.Context) error {
	if err := w.encoder.Commit(ctx); err != nil || w.side.out == nil {
		return err
	}
	return w.side.out.Commit()
}

// Close frees both.
func (w *withSide) Close() error {
	err := w.encoder.Close()
	if w.side.out != nil {
		err = errors.Join(err, w.side.out.Close())
	}
	return err
}
