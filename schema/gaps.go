package schema

import "github.com/crmetl/crmetl/record"

// present tells which of the values that the rule is about are there, a bit for each, the field's own the lowest. Of
// rules that ask for no more, validator's verdict and its message hang on nothing else.
func (k *check) present(v record.Value, row []record.Value) (bits uint64) {
	if filled(v) {
		bits = 1
	}
	for i, o := range k.refs {
		if filled(at(row, o.col)) {
			bits |= 2 << i
		}
	}
	return bits
}
