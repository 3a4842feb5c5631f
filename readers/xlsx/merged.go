package xlsx

import (
	"fmt"

	"github.com/crmetl/crmetl/record"
)

const (
	stripe     = 1 << 10 // rows that share a list of merged cells
	maxStripes = 1 << 20 // entries in all lists
)

// merged knows the merged cells of the data and their values. It is only read once it is built.
type merged struct {
	areas   []area
	values  []record.Value
	stripes map[int][]int32 // by row/stripe: which areas lie there
}

// readMerged finds the values of the merged cells below the header.
func (r *Reader) readMerged() error {
	if !r.o.FillMerged || len(r.seen.merges) == 0 {
		return nil
	}
	if r.seen.more {
		return fmt.Errorf("the sheet has more than %d merged cells; they cannot be filled", maxMerges)
	}
	m := &merged{stripes: map[int][]int32{}}
	first := map[[2]int]int{} // row and column of the first cell: which area
	entries := 0
	for _, a := range r.seen.merges {
		if a.top < r.dataFrom {
			continue
		}
		n := int32(len(m.areas))
		m.areas = append(m.areas, a)
		first[[2]int{a.top, a.left}] = int(n)
		for s := a.top / stripe; s <= a.bottom/stripe; s++ {
			if entries++; entries > maxStripes {
				return fmt.Errorf("the sheet's merged cells reach over too many rows to be filled")
			}
			m.stripes[s] = append(m.stripes[s], n)
		}
	}
	m.values = make([]record.Value, len(m.areas))
	err := r.eachRow(func(d *sheetDecoder) (bool, error) {
		for _, c := range d.cells {
			if n, ok := first[[2]int{d.row, c.column}]; ok {
				m.values[n] = c.value
			}
		}
		return true, nil
	})
	r.merged = m
	r.notef("%d merged cells are filled with the value of their first cell", len(m.areas))
	return err
}

// fill gives the empty cells of a row that belong to a merged cell its value. values begins at column left.
func (m *merged) fill(row int, values []record.Value, left int) {
	if m == nil {
		return
	}
	for _, n := range m.stripes[row/stripe] {
		a := &m.areas[n]
		if row < a.top || row > a.bottom || m.values[n].Kind() == record.Absent {
			continue
		}
		for col := max(a.left, left); col <= a.right && col-left < len(values); col++ {
			if values[col-left].Kind() == record.Text && values[col-left].Text() == "" {
				values[col-left] = m.values[n]
			}
		}
	}
}
