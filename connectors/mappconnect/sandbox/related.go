package sandbox

import (
	"encoding/json"
	"slices"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// missingRelated returns the mandatory fields that an event of related data lacks: "datasetName / key / importMode /
// attributes", for delete without attributes.
func missingRelated(e *event) []string {
	missing := wants("datasetName", "key", "importMode")(e)
	if mode := e.text("importMode"); mode != "delete" && !isObject(e.value("attributes")) {
		missing = append(missing, "attributes")
	}
	return missing
}

func isObject(v json.RawMessage) bool { return len(v) > 0 && v[0] == '{' }

// related is the record of a dataset's key. A key may stand for several entries.
type related struct {
	Dataset string            `json:"datasetName"`
	Key     string            `json:"key"`
	Entries []json.RawMessage `json:"entries"` // the attributes of each, an object
}

// applyRelated adds, updates or deletes entries of a dataset, with the meaning that the vendor's Engage API gives to the
// same words.
func applyRelated(w *work) error {
	one := related{Dataset: w.e.text("datasetName"), Key: w.e.text("key")}
	if w.rules.StrictData && one.Dataset != seededDataset {
		return w.feedback("UNKNOWN_DATASET", "RelatedDataList with dataSetName="+one.Dataset+" does not exist", "datasetName")
	}
	id := recordID(one.Dataset, one.Key)
	doc, ok, err := w.tx.Get(kindRelated, id)
	if err != nil {
		return err
	}
	if ok {
		if err := json.Unmarshal(doc, &one); err != nil {
			return err
		}
	}
	attributes := w.e.value("attributes")
	filter := w.e.value("filter")
	filtered := isObject(filter)
	if filter != nil && !filtered && string(filter) != "null" {
		return w.feedback("INVALID_FIELD", "filter is not an object", "filter")
	}
	switch mode := w.e.text("importMode"); mode {
	case "add":
		one.Entries = append(one.Entries, attributes)
	case "update":
		if !filtered {
			// As in Engage: all entries of the key go, then this one comes.
			one.Entries = []json.RawMessage{attributes}
			break
		}
		for i, entry := range one.Entries {
			if matches(entry, filter) {
				old, _ := splitObject(nil, entry)
				e := event{}
				e.read(attributes)
				one.Entries[i] = merged(old, &e, func(string) bool { return false })
			}
		}
	case "delete":
		one.Entries = slices.DeleteFunc(one.Entries, func(entry json.RawMessage) bool { return !filtered || matches(entry, filter) })
	default:
		return w.feedback("INVALID_FIELD", "importMode "+mode+" is none of add, update, delete", "importMode")
	}
	return w.putRelated(id, one, ok)
}

// seededDataset is that of the document's examples, the only one that strict_datasets knows.
const seededDataset = "testrdlistname"

func (w *work) putRelated(id string, one related, was bool) error {
	if len(one.Entries) == 0 {
		if was {
			w.tx.Delete(kindRelated, id)
		}
		return nil
	}
	doc, err := room.Marshal(one)
	if err != nil {
		return err
	}
	w.tx.Put(kindRelated, id, doc)
	return nil
}

// matches reports whether an entry has all that a filter names, as text.
func matches(entry, filter json.RawMessage) bool {
	have, _ := splitObject(nil, entry)
	want, _ := splitObject(nil, filter)
	return !slices.ContainsFunc(want, func(m room.Member) bool {
		v := find(have, m.Name)
		t := text(v)
		return v == nil || string(v) != string(m.Value) && (t == "" || t != text(m.Value))
	})
}
