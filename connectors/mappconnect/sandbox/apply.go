package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// subtype is what one value of the query's subtype means.
type subtype struct {
	names   []string                // that requests may use by default; the first is also that of its mapping
	missing func(e *event) []string // the mandatory fields that an event lacks
	key     func(e *event) string   // what the ledger calls the event by
	apply   func(w *work) error     // nil: nothing comes of it that is known
}

// subtypes are those of the document, with the names that the vendor's own clients use. For browse and related data no
// public name was found; both candidates are taken.
func subtypes() []*subtype {
	sku := joined(anyIdentifier, "sku")
	return []*subtype{
		{[]string{"user"}, wants(anyIdentifier), joined(anyIdentifier), applyUser},
		{[]string{"newsletter"}, wants(anyIdentifier), joined(anyIdentifier), applyUser},
		{[]string{"email"}, wants(anyIdentifier+"|group", "messageId"), joined(anyIdentifier+"|group", "messageId"), applyMessage},
		{[]string{"sms"}, wants(anyRecipient, "messageId"), joined(anyRecipient, "messageId"), applyMessage},
		{[]string{"push"}, wants(anyIdentifier, "pushMessageId", "mobileAppId"), joined(anyIdentifier, "pushMessageId"), applyMessage},
		{[]string{"webpush"}, nothing, joined(anyIdentifier), nil},
		{[]string{"transaction"}, wants(anyIdentifier, "orderId"), joined("orderId"), applyTransaction},
		{[]string{"product"}, wants("productSKU"), joined("productSKU"), applyProduct},
		{[]string{"abandonedcart", "abandonedCart"}, wants(anyIdentifier, "sku"), sku, applyShelf(kindCarts)},
		{[]string{"wishlist"}, wants(anyIdentifier, "sku"), sku, applyShelf(kindWishlists)},
		{[]string{"abandonedbrowse", "browse"}, wants(anyIdentifier, "sku"), sku, applyShelf(kindBrowses)},
		{[]string{"recommendedproduct"}, wants(anyIdentifier, "sku"), sku, applyShelf(kindRecommendations)},
		{[]string{"coupon"}, wants("listName", "value"), joined("listName", "value"), applyCoupon},
		{[]string{"relateddata", "relatedData"}, missingRelated, joined("datasetName", "key"), applyRelated},
		{[]string{"automation"}, wants(anyIdentifier, "externalEvent"), joined(anyIdentifier, "externalEvent"), applyAutomation},
		{[]string{"location"}, nothing, joined(anyIdentifier), nil},
	}
}

// anyIdentifier are the names of the identifiers that say which contact is meant. userID is another spelling of userId.
const anyIdentifier = "email|userId|userID|mobileNumber"

// anyRecipient are those of a message; an SMS has names of its own.
const anyRecipient = anyIdentifier + "|recipientMobileNumber|recipientId"

// firstText is the first of the fields, with bars between their names, that says something.
func firstText(e *event, names string) (name, value string) {
	for name := range strings.SplitSeq(names, "|") {
		if v := e.text(name); v != "" {
			return name, v
		}
	}
	return "", ""
}

// wants makes a function that returns which of the fields are missing. "a|b" is one of both.
func wants(fields ...string) func(*event) []string {
	return func(e *event) (missing []string) {
		for _, names := range fields {
			if name, _ := firstText(e, names); name == "" {
				name, _, _ = strings.Cut(names, "|")
				missing = append(missing, name)
			}
		}
		return missing
	}
}

func nothing(*event) []string { return nil }

// joined makes a function that returns the fields' texts with slashes between them.
func joined(fields ...string) func(*event) string {
	return func(e *event) string {
		if len(fields) == 1 {
			_, v := firstText(e, fields[0])
			return v
		}
		var parts []string
		for _, names := range fields {
			if _, v := firstText(e, names); v != "" {
				parts = append(parts, v)
			}
		}
		return strings.Join(parts, "/")
	}
}

// work applies events, one after the other.
type work struct {
	s     *Simulator
	of    *subtype // nil: nobody knows it
	at    time.Time
	rules *rules

	tx     *room.Tx
	number int64  // the event's
	n      string // the same as text
	e      event
	old    []room.Member // of a record that is there already
}

func (w *work) begin(s *Simulator, of *subtype, at time.Time, r *rules) {
	w.s, w.of, w.at, w.rules = s, of, at, r
}

// read takes up the next event.
func (w *work) read(tx *room.Tx, number int64, raw []byte) {
	w.tx, w.number, w.n = tx, number, strconv.FormatInt(number, 10)
	w.e.read(raw)
}

// key is what the ledger calls the event by.
func (w *work) key() string {
	if w.of == nil {
		return ""
	}
	return w.of.key(&w.e)
}

// apply lets the event take effect.
func (w *work) apply() error {
	switch {
	case w.of == nil:
		return nil
	case !w.e.object:
		return w.feedback("MALFORMED_EVENT", "the event is not a JSON object")
	}
	if missing := w.of.missing(&w.e); len(missing) > 0 {
		return w.feedback("MISSING_FIELD", "missing mandatory field: "+strings.Join(missing, ", "), missing...)
	}
	if w.of.apply == nil {
		return nil
	}
	return w.of.apply(w)
}

// isFlag reports whether a member says what to do with an event and is no part of what it is about.
func isFlag(name string) bool {
	switch name {
	case "delete", "unsubscribe", "subscribe", "doubleOptIn", "updateonly", "partialUpdate":
		return true
	}
	return false
}

// merged returns old with the members of an event in place of those of the same name, and the others behind them; without
// those that drop names, in either.
func merged(old []room.Member, e *event, drop func(name string) bool) []byte {
	if len(old) == 0 && !slices.ContainsFunc(e.members, func(m room.Member) bool { return drop(m.Name) }) {
		return e.raw
	}
	size := len(e.raw) + 2
	for _, m := range old {
		size += len(m.Name) + len(m.Value) + 4
	}
	doc := append(make([]byte, 0, size), '{')
	for _, m := range old {
		if drop(m.Name) {
			continue
		}
		if v := e.value(m.Name); v != nil {
			m.Value = v
		}
		doc = appendMember(doc, m.Name, m.Value)
	}
	for _, m := range e.members {
		if !drop(m.Name) && find(old, m.Name) == nil {
			doc = appendMember(doc, m.Name, m.Value)
		}
	}
	return append(doc, '}')
}

// upsert makes or changes the record that an event is about, or deletes it.
func (w *work) upsert(kind, id string, drop func(string) bool) error {
	if w.e.flag("delete") {
		if w.tx.Has(kind, id) {
			w.tx.Delete(kind, id)
		}
		return nil
	}
	old, _, err := w.tx.Get(kind, id)
	if err != nil {
		return err
	}
	w.old = w.old[:0]
	if old != nil {
		w.old, _ = splitObject(w.old, old)
	}
	w.tx.Put(kind, id, merged(w.old, &w.e, drop))
	return nil
}

// applyTransaction saves an order, and mails its contact if the event asks for it.
func applyTransaction(w *work) error {
	drop := func(name string) bool { return isFlag(name) || name == "messageId" || name == "group" }
	if err := w.upsert(kindTransactions, recordID(w.e.text("orderId")), drop); err != nil || w.e.flag("delete") {
		return err
	}
	// The document asks for no contact to save an order; a mail needs one.
	group, message := w.e.text("group"), w.e.text("messageId")
	if group == "" && message == "" {
		return nil
	}
	one, err := w.contact()
	if err != nil || one == nil || message == "" {
		return err
	}
	return w.send(kindMessages, "messageId", one)
}

func applyProduct(w *work) error {
	return w.upsert(kindProducts, recordID(w.e.text("productSKU")), isFlag)
}

// applyShelf keeps what a contact has looked at: "If the contact doesn't exist in Mapp Engage, the data will not be
// saved", without a word about it.
func applyShelf(kind string) func(*work) error {
	return func(w *work) error {
		one, err := w.findContact()
		if err != nil || one == nil && !w.rules.CreateUnknown {
			return err
		}
		if one == nil {
			if one, err = w.contact(); err != nil || one == nil {
				return err
			}
		}
		return w.upsert(kind, one.id+"/"+recordID(w.e.text("sku")), isFlag)
	}
}

// applyCoupon adds a code to its list: "if list does not exist, it will be created".
func applyCoupon(w *work) error {
	return w.upsert(kindCoupons, recordID(w.e.text("listName"), w.e.text("value")), isFlag)
}

// applyAutomation notes that an automation was set off.
func applyAutomation(w *work) error {
	one, err := w.contact()
	if err != nil || one == nil {
		return err
	}
	doc := append([]byte(`{"n":`), w.n...)
	doc = appendMember(doc, "contact", appendText(nil, one.id))
	w.tx.Put(kindAutomations, w.n, append(appendMember(doc, "event", w.e.raw), '}'))
	return nil
}

// recordID makes an id of a record from what it is known by. Ids have no blanks.
func recordID(parts ...string) string {
	id := strings.Join(parts, "/")
	if i := slices.IndexFunc(parts, func(p string) bool { return strings.ContainsFunc(p, unsafe) }); i < 0 {
		return id
	}
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('/')
		}
		for _, r := range p {
			if unsafe(r) {
				fmt.Fprintf(&b, "%%%02X", r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func unsafe(r rune) bool { return r <= ' ' || r == '%' || r == '/' || r == 0x7f }
