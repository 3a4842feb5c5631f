package sandbox

import (
	"slices"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// contact is a user of Engage. Its record has its attributes by name and, as "group", the groups it is in. It is kept under
// its first identifier; kindIdentifiers leads from the others to that.
type contact struct {
	id      string        // of its record; "" if it is new
	members []room.Member // of its record
	all     []string      // its identifiers, as ids of records
}

// identity says which identifier a member is: the record's id, or "".
func identity(name, value string) string {
	if value == "" {
		return ""
	}
	switch name {
	case "email":
		return "email:" + recordID(value)
	case "userId", "userID", "recipientId":
		return "userId:" + recordID(value)
	case "mobileNumber", "recipientMobileNumber":
		return "mobileNumber:" + recordID(value)
	}
	return ""
}

// identities returns the identifiers among members, or else among old, in the order in which a contact is kept by them.
func identities(members, old []room.Member) []string {
	var out []string
	for _, name := range [...]string{"email", "userId", "userID", "mobileNumber"} {
		v := find(members, name)
		if v == nil {
			v = find(old, name)
		}
		if id := identity(name, text(v)); id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// lookup returns the id of the record that an identifier belongs to, "" if to none.
func lookup(tx *room.Tx, id string) (string, error) {
	if tx.Has(kindUsers, id) {
		return id, nil
	}
	doc, ok, err := tx.Get(kindIdentifiers, id)
	if err != nil || !ok {
		return "", err
	}
	members, _ := splitObject(nil, doc)
	return text(find(members, "user")), nil
}

// findContact returns the contact that the event's identifiers mean, nil if there is none. Where there are several, the
// vendor's order of precedence decides: userId, email, mobileNumber.
func (w *work) findContact() (*contact, error) {
	for _, name := range [...]string{"userId", "userID", "recipientId", "email", "mobileNumber", "recipientMobileNumber"} {
		id := identity(name, w.e.text(name))
		if id == "" {
			continue
		}
		record, err := lookup(w.tx, id)
		if err != nil {
			return nil, err
		}
		if record == "" {
			continue
		}
		doc, _, err := w.tx.Get(kindUsers, record)
		if err != nil {
			return nil, err
		}
		one := &contact{id: record}
		w.old, _ = splitObject(w.old[:0], doc)
		one.members = w.old
		one.all = identities(one.members, nil)
		return one, nil
	}
	return nil, nil
}

// contact returns the contact that an event is for. One that is not there is made if the event names a group; otherwise it
// is reported and nil.
func (w *work) contact() (*contact, error) {
	one, err := w.findContact()
	if one != nil || err != nil {
		return one, err
	}
	group := w.e.text("group")
	if group == "" && !w.rules.CreateUnknown {
		return nil, w.feedback("UNKNOWN_CONTACT", "the contact does not exist and no group is given")
	}
	if ok, err := w.knowsGroup(group); !ok || err != nil {
		return nil, err
	}
	doc := []byte{'{'}
	for _, names := range [...]string{"email", "userId|userID|recipientId", "mobileNumber|recipientMobileNumber"} {
		if _, v := firstText(&w.e, names); v != "" {
			name, _, _ := strings.Cut(names, "|")
			doc = appendMember(doc, name, appendText(nil, v))
		}
	}
	doc = appendGroups(doc, group, nil)
	one = &contact{}
	one.members, _ = splitObject(nil, doc)
	one.save(w.tx, doc, identities(one.members, nil))
	return one, nil
}

// knowsGroup reports whether an event may name the group; if not, it has been reported.
func (w *work) knowsGroup(group string) (bool, error) {
	if group == "" || !w.rules.StrictGroups || w.tx.Has(kindGroups, recordID(group)) {
		return true, nil
	}
	return false, w.feedback("UNKNOWN_GROUP", "there is no group "+group, "group")
}

// appendGroups ends the record of a contact that is in the groups and in one more, if it is not "".
func appendGroups(doc []byte, group string, groups []string) []byte {
	if group != "" && !slices.Contains(groups, group) {
		groups = append(groups, group)
	}
	list := []byte{'['}
	for i, g := range groups {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendText(list, g)
	}
	return append(appendMember(doc, "group", append(list, ']')), '}')
}

// save keeps doc as the contact's record, with what leads to it from its identifiers, which are now these.
func (one *contact) save(tx *room.Tx, doc []byte, now []string) {
	if len(now) == 0 {
		return // nobody could ever find it; the mandatory fields rule it out
	}
	if one.id != "" && slices.Equal(now, one.all) {
		tx.Put(kindUsers, one.id, doc)
		return
	}
	if one.id != "" {
		one.remove(tx)
	}
	one.id, one.all = now[0], now
	tx.Put(kindUsers, one.id, doc)
	for _, id := range now[1:] {
		tx.Put(kindIdentifiers, id, append(appendMember([]byte{'{'}, "user", appendText(nil, one.id)), '}'))
	}
}

// remove forgets the contact.
func (one *contact) remove(tx *room.Tx) {
	tx.Delete(kindUsers, one.id)
	for _, id := range one.all {
		if id != one.id {
			tx.Delete(kindIdentifiers, id)
		}
	}
}

// applyUser adds, changes or removes a contact.
func applyUser(w *work) error {
	one, err := w.findContact()
	if err != nil {
		return err
	}
	group := w.e.text("group")
	switch {
	case w.e.flag("delete") && one != nil:
		one.remove(w.tx)
		return nil
	case one == nil && w.e.flag("delete"):
		return w.feedback("UNKNOWN_CONTACT", "the contact does not exist")
	case one == nil && (group == "" && !w.rules.CreateUnknown || w.e.flag("updateonly")):
		return w.feedback("UNKNOWN_CONTACT", "the contact does not exist and no group is given, or only updates are asked for")
	case one == nil:
		one = &contact{}
	}
	if ok, err := w.knowsGroup(group); !ok || err != nil {
		return err
	}
	now := identities(w.e.members, one.members)
	if taken, err := w.taken(one, now); taken || err != nil {
		return err
	}
	groups, _ := room.Member{Value: find(one.members, "group")}.Texts()
	doc := merged(one.members, &w.e, func(name string) bool { return isFlag(name) || name == "group" || name == "messageId" })
	if w.e.flag("unsubscribe") {
		groups = slices.DeleteFunc(groups, func(g string) bool { return g == group })
		group = ""
	}
	doc = slices.Clip(doc[:len(doc)-1]) // it may be a part of the event, which must stay as it is
	one.save(w.tx, appendGroups(doc, group, groups), now)
	if w.e.text("messageId") == "" {
		return nil
	}
	return w.send(kindMessages, "messageId", one)
}

// taken reports whether one of the identifiers belongs to another contact than one; if so, it has said so.
func (w *work) taken(one *contact, now []string) (bool, error) {
	for _, id := range now {
		if one.id == "" || slices.Contains(one.all, id) {
			continue // a new contact is new because none of them was found
		}
		owner, err := lookup(w.tx, id)
		if err != nil {
			return false, err
		}
		if owner != "" {
			return true, w.feedback("IDENTIFIER_TAKEN", id+" belongs to another contact")
		}
	}
	return false, nil
}

// applyMessage sends a prepared e-mail, SMS or push message to a contact, or an e-mail to a group.
func applyMessage(w *work) error {
	kind, name := kindMessages, "messageId"
	switch w.of.names[0] {
	case "sms":
		kind = kindSMSMessages
	case "push":
		kind, name = kindPushMessages, "pushMessageId"
	}
	who, _ := firstText(&w.e, anyRecipient)
	if who == "" {
		if ok, err := w.knowsGroup(w.e.text("group")); !ok || err != nil {
			return err
		}
		return w.send(kind, name, nil)
	}
	if !w.tx.Has(kind, recordID(w.e.text(name))) {
		return w.send(kind, name, nil) // which reports it, before a contact is made
	}
	one, err := w.contact()
	if err != nil || one == nil {
		return err
	}
	return w.send(kind, name, one)
}

// send notes a message of a kind, whose id is in the field name, as sent to a contact or, without one, to the event's group.
func (w *work) send(kind, name string, to *contact) error {
	message := w.e.text(name)
	if !w.tx.Has(kind, recordID(message)) {
		return w.feedback("UNKNOWN_MESSAGE", "there is no prepared message "+message, name)
	}
	app := w.e.text("mobileAppId")
	if kind == kindPushMessages && !w.tx.Has(kindApps, recordID(app)) {
		return w.feedback("UNKNOWN_MOBILE_APP", "there is no mobile app "+app, "mobileAppId")
	}
	doc := append([]byte(`{"n":`), w.n...)
	doc = appendMember(doc, "subtype", appendText(nil, w.of.names[0]))
	doc = appendMember(doc, name, appendText(nil, message))
	if kind == kindPushMessages {
		doc = appendMember(doc, "mobileAppId", appendText(nil, app))
	}
	if to != nil {
		doc = appendMember(doc, "contact", appendText(nil, to.id))
	} else {
		doc = appendMember(doc, "group", appendText(nil, w.e.text("group")))
	}
	parameters := []byte{'{'}
	for _, m := range w.e.members {
		switch m.Name {
		case name, "mobileAppId", "group":
		default:
			if identity(m.Name, "x") == "" && !isFlag(m.Name) {
				parameters = appendMember(parameters, m.Name, m.Value)
			}
		}
	}
	doc = appendMember(doc, "parameters", append(parameters, '}'))
	w.tx.Put(kindSent, w.n, append(doc, '}'))
	return nil
}
