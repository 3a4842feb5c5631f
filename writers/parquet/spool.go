package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/s2"

	"github.com/crmetl/crmetl/record"
)

// spool is a temporary file of rows, compressed. It is made when the first one comes; where the system allows it, it
// has no name from then on, so that nothing is left of it whatever happens.
type spool struct {
	dir  string
	f    *os.File
	name string // "" once it is removed
	pack *s2.Writer
}

// Write appends rows.
func (s *spool) Write(p []byte) (int, error) {
	if s.f == nil {
		f, err := os.CreateTemp(s.dir, ".crmetl-*.part")
		if err != nil {
			return 0, fmt.Errorf("rows are kept in a temporary file until the end: %w", err)
		}
		s.f, s.name = f, f.Name()
		if os.Remove(s.name) == nil {
			s.name = ""
		}
		s.pack = s2.NewWriter(f, s2.WriterConcurrency(1))
	}
	n, err := s.pack.Write(p)
	if err != nil {
		return n, fmt.Errorf("rows are kept in a temporary file until the end: %w", err)
	}
	return n, nil
}

// rewind ends the writing and returns what reads the rows; nil if there are none.
func (s *spool) rewind() (*bufio.Reader, error) {
	if s.f == nil {
		return nil, nil
	}
	err := s.pack.Close()
	if err == nil {
		_, err = s.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return bufio.NewReaderSize(s2.NewReader(s.f), 64<<10), nil
}

func (s *spool) close() error {
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	s.f = nil
	return err
}

// appendCell appends a cell in the spool's form: kind, length, text.
func appendCell(dst []byte, v record.Value) []byte {
	s := v.Text()
	dst = binary.AppendUvarint(append(dst, byte(v.Kind())), uint64(len(s)))
	return append(dst, s...)
}

// readRow reads a row's cells, whose texts live in one string. io.EOF is the good end.
func readRow(r *bufio.Reader, buf []byte, cells []record.Value, ends []int) ([]byte, error) {
	buf = buf[:0]
	for i := range cells {
		kind, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = unexpected(err)
			}
			return buf, err
		}
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return buf, unexpected(err)
		}
		begin := len(buf)
		buf = append(buf, make([]byte, n)...)
		if _, err := io.ReadFull(r, buf[begin:]); err != nil {
			return buf, unexpected(err)
		}
		cells[i] = record.Of(record.Kind(kind), "")
		ends[i] = len(buf)
	}
	all, begin := string(buf), 0
	for i, end := range ends {
		cells[i] = record.Of(cells[i].Kind(), all[begin:end])
		begin = end
	}
	return buf, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("temporary file: %w", err)
}
