package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A journal file is a line that names format, version and salt, and frames after it. A frame is the length of its
// payload (4 bytes, little-endian), a CRC-32C over salt, length and payload (4 bytes), and the payload. The salt makes
// sure that neither an older file's remains on the disk nor a cell's content can pass for a frame.

const (
	magic      = "crmetl journal 1 "
	saltLen    = 8
	headLen    = len(magic) + 2*saltLen + 1
	frameHead  = 8
	maxPayload = 16 << 20
	// searchWindow bounds how far after a damaged frame a good one is looked for. What a cut can leave behind is
	// what was written since the last sync, far less than this.
	searchWindow = 4 * maxPayload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Damaged is the error of a journal that holds good entries after a broken one, so that it was not merely cut off:
// what the broken entry said is lost, and a run that went on without it could send rows twice.
type Damaged struct {
	Path   string
	Offset int64 // of the broken entry
	Next   int64 // of the first good entry after it; 0 if there is too much unreadable data to tell
}

// Error says where the damage is and what to do.
func (e *Damaged) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d and cannot be trusted, because whole entries follow: restore the file from a copy, or settle by hand which rows reached the vendor (success.csv has those known to) and start a new run with the rest", e.Path, e.Offset)
}

// appendHead appends the first line.
func appendHead(dst []byte, salt [saltLen]byte) []byte {
	dst = append(dst, magic...)
	dst = hex.AppendEncode(dst, salt[:])
	return append(dst, '\n')
}

// parseHead returns the CRC's seed that the first line gives.
func parseHead(line []byte) (seed uint32, err error) {
	name, _, _ := bytes.Cut([]byte(magic), []byte("1 "))
	if !bytes.HasPrefix(line, []byte(magic)) {
		if bytes.HasPrefix(line, name) && len(line) == headLen {
			return 0, errors.New("is a journal of another version of crmetl: resume with the version that began the run")
		}
		if bytes.HasPrefix([]byte(magic), line) {
			return 0, errors.New("ends before its first entry: no row was sent, start a new run")
		}
		return 0, errors.New("is no crmetl journal")
	}
	if len(line) < headLen {
		return 0, errors.New("ends before its first entry: no row was sent, start a new run")
	}
	salt, err := hex.DecodeString(string(line[len(magic) : headLen-1]))
	if err != nil || line[headLen-1] != '\n' {
		return 0, errors.New("is damaged in its first line: restore it from a copy")
	}
	return crc32.Checksum(salt, castagnoli), nil
}

// frameSum returns the CRC of a frame. size is the frame's first four bytes.
func frameSum(seed uint32, size, payload []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, size), castagnoli, payload)
}

// sealFrame fills in the head of the frame that begins at start and ends with dst; its first frameHead bytes are room.
func sealFrame(dst []byte, start int, seed uint32) {
	head, payload := dst[start:start+frameHead], dst[start+frameHead:]
	binary.LittleEndian.PutUint32(head, uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], frameSum(seed, head[:4], payload))
}

// scan calls fn with the payload of each whole frame of the first size bytes and returns where the last one ends. What
// follows it was cut off; a journal that is broken in its middle is a *Damaged. The payload is good until fn returns.
func scan(path string, f io.ReaderAt, size int64, fn func(payload []byte) error) (seed uint32, end int64, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<18)
	line := make([]byte, min(int64(headLen), size))
	if _, err := io.ReadFull(r, line); err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", path, err)
	}
	if seed, err = parseHead(line); err != nil {
		return 0, 0, fmt.Errorf("%s %w", path, err)
	}
	end = int64(headLen)
	var head [frameHead]byte
	var payload []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return seed, end, nil
			}
			return seed, end, fmt.Errorf("read %s: %w", path, err)
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		good := n > 0 && n <= maxPayload && end+frameHead+n <= size
		if good {
			payload = append(payload[:0], make([]byte, n)...)
			if _, err := io.ReadFull(r, payload); err != nil {
				return seed, end, fmt.Errorf("read %s: %w", path, err)
			}
			good = frameSum(seed, head[:4], payload) == binary.LittleEndian.Uint32(head[4:])
		}
		if !good {
			next, err := findFrame(f, end+1, size, seed)
			if err != nil {
				return seed, end, fmt.Errorf("read %s: %w", path, err)
			}
			if next >= 0 {
				return seed, end, &Damaged{Path: path, Offset: end, Next: next}
			}
			return seed, end, nil
		}
		if err := fn(payload); err != nil {
			return seed, end, fmt.Errorf("%s at byte %d: %w", path, end, err)
		}
		end += frameHead + n
	}
}

// findFrame returns where the first good frame at or after from begins, -1 if there is none, and 0 if there is more
// data than a cut could have left behind.
func findFrame(f io.ReaderAt, from, size int64, seed uint32) (int64, error) {
	data := make([]byte, max(0, min(size-from, searchWindow)))
	if _, err := f.ReadAt(data, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for i := 0; i+frameHead < len(data); i++ {
		n := int(binary.LittleEndian.Uint32(data[i:]))
		if n == 0 || n > maxPayload || i+frameHead+n > len(data) {
			continue
		}
		if frameSum(seed, data[i:i+4], data[i+frameHead:i+frameHead+n]) == binary.LittleEndian.Uint32(data[i+4:]) {
			return from + int64(i), nil
		}
	}
	if size-from > searchWindow {
		return 0, nil
	}
	return -1, nil
}
