package transforms

import (
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/record"
)

func newSplit(a Args) (Func, error) {
	seps, err := a.texts()
	if err != nil || len(seps) == 0 {
		return nil, &ArgError{Message: `wants the separator, such as {split: ","}, or a list of separators`}
	}
	for _, s := range seps {
		if s == "" {
			return nil, &ArgError{Message: "can't split at an empty separator"}
		}
	}
	return func(v record.Value) (record.Value, error) {
		switch v.Kind() {
		case record.Absent, record.Null, record.List:
			return v, nil
		case record.Fault:
			return v, faulty(v)
		}
		rest := v.Cell()
		if strings.TrimSpace(rest) == "" {
			return v, nil
		}
		var items []string
		for rest != "" {
			cut, skip := len(rest), 0
			for _, s := range seps {
				if i := strings.Index(rest, s); i >= 0 && i < cut {
					cut, skip = i, len(s)
				}
			}
			if item := strings.TrimSpace(rest[:cut]); item != "" {
				items = append(items, item)
			}
			rest = rest[cut+skip:]
		}
		return record.ListOf(items), nil
	}, nil
}

func newJoin(a Args) (Func, error) {
	if a.Kind != Scalar {
		return nil, &ArgError{Message: `wants what goes between the items, such as {join: ", "}`}
	}
	return func(v record.Value) (record.Value, error) {
		if v.Kind() != record.List {
			return v, nil
		}
		items, ok := v.Items()
		if !ok {
			return v, fmt.Errorf("%s is not a list", Quote(v.Text()))
		}
		n := len(a.Text) * len(items)
		for _, s := range items {
			n += len(s)
		}
		if n > 2*maxText {
			return v, tooLong(n)
		}
		return record.TextOf(strings.Join(items, a.Text)), nil
	}, nil
}
