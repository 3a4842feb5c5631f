package journal

import (
	"strings"

	"github.com/crmetl/crmetl/record"
)

// Noted counts the rows of the whole run, earlier passes included, that were accepted with a note that holds text. A
// connector that must tell a row from its twins asks this, and only after an unknown outcome: the file is read once
// more.
func (j *Journal) Noted(text string) (rows int64, err error) {
	j.mu.Lock()
	file, size, err := j.file, j.written, j.err
	j.mu.Unlock()
	if err != nil {
		return 0, err
	}
	var d decoder
	_, _, err = scan(j.path, file, size, func(payload []byte) error {
		e, err := d.decode(payload)
		if err != nil {
			return err
		}
		if e.kind != kindSettled || !strings.Contains(e.text, text) {
			return nil
		}
		for i := range e.outcomes {
			if o := &e.outcomes[i]; o.fate == record.Accepted {
				rows += o.last - o.first + 1
			}
		}
		return nil
	})
	return rows, err
}
