package record

import (
	"strings"
	"testing"
)

// TestBatchReuse uses a batch again and again: cells come empty, rows do not overlap, and texts of before stay what they
// were.
func TestBatchReuse(t *testing.T) {
	var b Batch
	var kept []string
	for round := range 50 {
		b.Reset()
		for i := range 300 + 40*(round%7) {
			cells := b.Cells(1 + i%40)
			for k := range cells {
				if cells[k] != (Value{}) {
					t.Fatalf("round %d, row %d: cell %d holds %q of another row", round, i, k, cells[k].Text())
				}
				cells[k] = TextOf(b.Text([]byte{byte('a' + round%26), byte('a' + i%26), byte('a' + k%26)}))
			}
			row := b.Add()
			if row.Fate != Pending || row.Err != nil || row.Values != nil {
				t.Fatalf("round %d: row %d is not empty", round, i)
			}
			row.Values = cells
		}
		for i := range b.Rows {
			for k, v := range b.Rows[i].Values {
				want := string([]byte{byte('a' + round%26), byte('a' + i%26), byte('a' + k%26)})
				if v.Text() != want {
					t.Fatalf("round %d, row %d, cell %d: %q, want %q", round, i, k, v.Text(), want)
				}
			}
		}
		kept = append(kept, b.Rows[7].Values[3].Text())
	}
	for round, s := range kept {
		if want := string([]byte{byte('a' + round%26), 'h', 'd'}); s != want {
			t.Errorf("the text of round %d became %q", round, s)
		}
	}
	if long := b.Text([]byte(strings.Repeat("x", arenaBlock))); len(long) != arenaBlock {
		t.Errorf("a long text has %d bytes", len(long))
	}
}

// TestBatchForgets uses a batch for less and less: nothing of earlier rows is left in its memory, which would keep their
// texts alive.
func TestBatchForgets(t *testing.T) {
	var b Batch
	for round := range 40 {
		b.Reset()
		mark := string(byte('A' + round))
		for range 1 + 3*(40-round)/(1+round%3) {
			cells := b.Room(1 + 7*(round%5)*40)
			for k := range cells {
				cells[k] = TextOf(mark)
			}
		}
		b.Reset()
		for i, block := range b.blocks {
			for k, v := range block.cells {
				if s := v.Text(); s != "" && s != mark {
					t.Fatalf("round %s: cell %d of block %d holds a text of round %s", mark, k, i, s)
				}
			}
		}
	}
}
