package record

import "encoding/binary"

// Watch copies texts and looks for certain bytes meanwhile: the control characters, which are those below the blank, and
// two others.
type Watch struct {
	control, one, two [16]byte // what sixteen bytes at a time are compared with
}

// WatchFor returns a watch for the control characters and for one and two, which are ASCII.
func WatchFor(one, two byte) Watch {
	var w Watch
	for i := range w.one {
		w.control[i], w.one[i], w.two[i] = ' '-1, one, two
	}
	return w
}

// Copy copies s to dst, which has room for it, and reports whether there is a byte that is looked for, and one that is not
// ASCII.
func (w *Watch) Copy(dst []byte, s string) (found, wide bool) {
	if s == "" {
		return false, false
	}
	got := w.copy(dst[:len(s)], s)
	return got.found(), got.wide()
}

// sighting is what was seen: in its lower half whether there is a byte that is looked for, in the upper one whether there is
// one that is not ASCII.
type sighting uint32

func (s sighting) found() bool { return s&0xffff != 0 }
func (s sighting) wide() bool  { return s>>16 != 0 }

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// portable is copy without instructions of a certain processor: eight bytes at a time. What is left over after whole words
// is copied together with bytes before it.
func (w *Watch) portable(dst []byte, s string) (seen sighting) {
	one, two := ones*uint64(w.one[0]), ones*uint64(w.two[0])
	var bad, high uint64
	n := len(s)
	switch {
	case n >= 8:
		dst = dst[:n]
		for i := 0; i < n-8; i += 8 {
			u := word(s[i : i+8])
			binary.LittleEndian.PutUint64(dst[i:i+8], u)
			bad, high = look(u, one, two, bad, high)
		}
		u := word(s[n-8:])
		binary.LittleEndian.PutUint64(dst[n-8:], u)
		bad, high = look(u, one, two, bad, high)
	case n >= 4:
		u, v := half(s[:4]), half(s[n-4:])
		binary.LittleEndian.PutUint32(dst[:4], uint32(u))
		binary.LittleEndian.PutUint32(dst[n-4:], uint32(v))
		bad, high = look(u|v<<32, one, two, bad, high)
	case n > 0:
		dst[0], dst[n/2], dst[n-1] = s[0], s[n/2], s[n-1]
		u := uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16 | uint64(s[0])*(ones&^0xffffff)
		bad, high = look(u, one, two, bad, high)
	}
	if bad != 0 {
		seen = 1
	}
	if high != 0 {
		seen |= 1 << 16
	}
	return seen
}

// word is the first eight bytes of s in one number, which is one load.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// half is the same of four bytes.
func half(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// look adds what one word says. Bytes that are not ASCII are left out of the first question, so that no carry goes from
// one byte to the next. Of an ASCII byte c, c+0x60 has its high bit if c is ' ' or more; (c^x)+0x7f, if c is not x.
func look(u, one, two, bad, high uint64) (uint64, uint64) {
	c := u &^ tops
	plain := (c + 0x60*ones) & ((c ^ one) + 0x7f*ones) & ((c ^ two) + 0x7f*ones)
	return bad | ^(plain|u)&tops, high | u&tops
}
