package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// createLead answers POST /leads.
func (s *Simulator) createLead(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	members, err := c.lead()
	if err != nil {
		return err
	}
	var doc []byte
	err = s.change(c.written(), func(e *edit) (string, error) {
		l := newLead()
		e.counters.Lead++
		l.ID, l.Matching = e.counters.Lead, matchingOf(e.counters.Lead)
		l.CreatedAt, l.UpdatedAt = stamp(c.at), stamp(c.at)
		if err := c.take(e, l, members, true); err != nil {
			return "", err
		}
		e.put(l)
		var err error
		doc, err = room.Marshal(l)
		return strconv.FormatInt(l.ID, 10), err
	})
	if err != nil {
		return err
	}
	return c.reply(c.knobs.CreateStatus, doc)
}

// putLead answers PUT /leads/{id}.
func (s *Simulator) putLead(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	id, err := c.leadID()
	if err != nil {
		return err
	}
	members, err := c.lead()
	if err != nil {
		return err
	}
	var doc []byte
	err = s.change(c.written(), func(e *edit) (string, error) {
		l, err := e.get(id)
		if err != nil {
			return "", err
		}
		if l == nil {
			return "", notFound(c.args[0])
		}
		if c.knobs.PutMode == replace {
			l = l.bare(c.knobs.PutLists == keep)
		}
		if err := c.take(e, l, members, c.knobs.PutMode == replace); err != nil {
			return "", err
		}
		l.UpdatedAt = stamp(c.at)
		e.put(l)
		doc, err = room.Marshal(l)
		return c.args[0], err
	})
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, doc)
}

// bare is the lead with all that a PUT can carry gone. What no call can write stays.
func (l *lead) bare(lists bool) *lead {
	n := newLead()
	n.leadTail = l.leadTail
	n.ID, n.Phone = l.ID, l.Phone
	n.Preferences, n.Amenities, n.Fields = []preference{}, []named{}, fieldValues{}
	n.Kept.MLS = l.Kept.MLS
	if lists {
		n.Kept.Notes, n.Kept.Properties = l.Kept.Notes, l.Kept.Properties
	}
	return n
}

// lead reads the members of the lead in the body.
func (c *call) lead() ([]room.Member, error) {
	members, err := c.object()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m room.Member) bool { return m.Name == keyLead })
	if i < 0 {
		if c.knobs.Bare {
			return members, nil
		}
		return nil, fieldErrors{keyLead: {"is required"}}
	}
	for _, m := range members {
		if m.Name != keyLead {
			c.warn("%s stands beside lead and was ignored", strconv.QuoteToASCII(m.Name))
		}
	}
	inner, err := room.ParseObject(members[i].Value)
	if err != nil {
		return nil, fieldErrors{keyLead: {err.Error()}}
	}
	return inner, nil
}

// mandatory is what the document's table of a create asks for; a PUT asks for the same.
var mandatory = []string{"title", "first_name", "last_name", "mobile", keyCategory, "country", "status", "source", keySourceChan, "financial"}

// mandatoryWish is what the preference must have; offering_type is looked for in two places.
var mandatoryWish = []string{"types", "locations", "from_price", "to_price", "amenities"}

// choicesOf returns the choices of a field that has some.
func choicesOf(name string) []string {
	switch name {
	case "title":
		return titles
	case keyCategory:
		return categories
	case "status":
		return statuses
	case "quality":
		return qualities
	case "source":
		return sources
	case "financial":
		return financials
	case "mortgage_status":
		return mortgageStatuses
	case "time_frame":
		return timeFrames
	}
	return nil
}

// draft is a lead while a request's members are being taken over.
type draft struct {
	*lead
	c       *call
	e       *edit
	wrong   fieldErrors
	given   map[string]bool // members with a value, by name; those of the preference as preference.NAME
	strict  bool
	offered string // lead.offering_type, for the preference
	first   bool   // the lead had no preference before
}

// take checks the members and sets the lead's fields. With whole, all that is mandatory must be among them; without, it
// must at least not be taken away.
func (c *call) take(e *edit, l *lead, members []room.Member, whole bool) error {
	d := &draft{lead: l, c: c, e: e, wrong: fieldErrors{}, given: map[string]bool{}, strict: c.knobs.Mandatory == strict}
	// The offering type may stand outside of the preference, and source_channel beside channel: these come first.
	slices.SortStableFunc(members, func(a, b room.Member) int { return rank(a.Name) - rank(b.Name) })
	for _, m := range members {
		d.given[m.Name] = !m.IsNull()
		if err := d.set(m); err != nil {
			return err
		}
	}
	if p := d.preference(); p != nil && d.offered != "" && !d.given[keyPreference] {
		p.OfferingType = &d.offered
	}
	d.checkMandatory(members, whole)
	d.checkChannel()
	if err := d.wrong.orNil(); err != nil {
		return err
	}
	return d.checkDuplicate()
}

func rank(name string) int {
	switch name {
	case "offering_type", keyChannel:
		return 0
	case keySourceChan:
		return 1
	case keyPreferences:
		return 3
	case keyPreference:
		return 4 // after the category, which types have a use for
	}
	return 2
}

// set takes over one member.
func (d *draft) set(m room.Member) error {
	switch m.Name {
	case "id":
		return d.setID(m)
	case "created_at", "updated_at", "matching":
		d.c.warn("%s is read-only and was ignored", m.Name)
		return nil
	case "user":
		return d.setUser(m)
	case keyPreference, keyPreferences:
		d.setPreference(m)
		return nil
	case "offering_type":
		d.setOffered(m)
		return nil
	case "notes":
		d.setNotes(m)
		return nil
	case "properties":
		if ids, ok := integers(m); ok || m.IsNull() {
			d.Kept.Properties = ids
		} else {
			d.wrong.add(m.Name, "want an array of ids")
		}
		return nil
	case "fields":
		d.setFields(m)
		return nil
	case keyChannel:
		// The document's name in a read. It counts as source_channel only when little is asked for.
		if d.strict {
			return nil
		}
		d.given[keySourceChan] = !m.IsNull()
	}
	to := d.text(m.Name)
	if to == nil {
		d.c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(m.Name))
		return nil
	}
	if m.IsNull() {
		*to = nil
		return nil
	}
	v, ok := m.Text()
	switch choices := choicesOf(m.Name); {
	case !ok:
		d.wrong.add(m.Name, "want a string")
	case choices != nil && !slices.Contains(choices, v):
		d.wrong.add(m.Name, "%s is none of %s", strconv.Quote(v), strings.Join(choices, ", "))
	default:
		*to = &v
	}
	return nil
}

// setID checks an id in the body: a create has none, that of a PUT is the path's.
func (d *draft) setID(m room.Member) error {
	if d.c.r.Method == http.MethodPost {
		d.c.warn("id is read-only and was ignored")
		return nil
	}
	if n, ok := m.Integer(); !ok || n != d.ID {
		d.wrong.add("id", "want %d, the id in the path", d.ID)
	}
	return nil
}

// setUser assigns an agent. For another than oneself a right is needed.
func (d *draft) setUser(m room.Member) error {
	if m.IsNull() {
		d.User = nil
		return nil
	}
	id, ok := m.Integer()
	if !ok {
		d.wrong.add("user", "want the id of a user")
		return nil
	}
	if _, ok := userByID(id); !ok {
		d.wrong.add("user", "there is no user %d", id)
		return nil
	}
	if id != ownUser {
		if err := d.c.need("lead.update.other"); err != nil {
			return err
		}
	}
	d.User = &ref{id}
	return nil
}

// setOffered takes the offering type that stands outside of the preference, as in the document's samples.
func (d *draft) setOffered(m room.Member) {
	if d.c.knobs.OfferingTypeAt == keyPreference {
		d.c.warn("offering_type belongs into the preference and was ignored")
		return
	}
	if m.IsNull() {
		return
	}
	v, ok := m.Text()
	if !ok || !slices.Contains(offeringTypes, v) {
		d.wrong.add("offering_type", "want one of %s", strings.Join(offeringTypes, ", "))
		return
	}
	d.offered = v
}

// checkMandatory wants what is mandatory.
func (d *draft) checkMandatory(members []room.Member, whole bool) {
	if d.strict {
		for _, name := range mandatory {
			_, named := d.given[name]
			switch v := *d.text(name); {
			case (whole || named) && !d.given[name]:
				d.wrong.add(name, "is required")
			case named && v != nil && strings.TrimSpace(*v) == "":
				d.wrong.add(name, "can't be blank")
			}
		}
		d.checkWish(whole)
	}
	if id := strconv.Itoa(d.c.knobs.MandatoryField); id != "0" && (whole || slices.ContainsFunc(members, func(m room.Member) bool { return m.Name == "fields" })) {
		if _, ok := d.Fields[id]; !ok {
			d.wrong.add("fields."+id, "is required")
		}
	}
}

// checkWish wants what is mandatory of the preference. Without whole, a preference that is not there may stay away.
func (d *draft) checkWish(whole bool) {
	if !d.given[keyPreference] {
		if _, named := d.given[keyPreference]; whole || named {
			d.wrong.add(keyPreference, "is required")
		}
		return
	}
	p := d.preference()
	if p == nil {
		return // what was sent is no preference, which was said already
	}
	whole = whole || d.first
	missing := func(name string) {
		if d.wrong[name] == nil {
			d.wrong.add(name, "is required")
		}
	}
	for _, name := range mandatoryWish {
		full := keyPreference + "." + name
		if given, named := d.given[full]; !given && (whole || named) {
			missing(full)
		}
	}
	switch {
	case p.OfferingType != nil || d.wrong["offering_type"] != nil:
	case d.c.knobs.OfferingTypeAt == keyLead:
		missing("offering_type")
	default:
		missing("preference.offering_type")
	}
}

// checkChannel holds the channel against the source. A channel that the document names, but for another source, is only
// worth a warning: which belong together is read off their order.
func (d *draft) checkChannel() {
	channel, source := value(d.SourceChannel), value(d.Source)
	if !d.given[keySourceChan] || channel == "" || source == sourceOther {
		return
	}
	if !slices.Contains(channels(), channel) {
		d.wrong.add(keySourceChan, "%s is none of %s", strconv.Quote(channel), strings.Join(channels(), ", "))
	} else if related := channelsOf(source); related != nil && !slices.Contains(related, channel) {
		d.c.warn("source_channel %s is no channel of %s", channel, source)
	}
}

// checkDuplicate refuses a mobile that another lead has, if the account is set so.
func (d *draft) checkDuplicate() error {
	mobile := value(d.Mobile)
	if d.c.knobs.Duplicates != conflict || mobile == "" {
		return nil
	}
	for _, b := range d.e.s.index.briefs {
		if b.mobile == mobile && b.id != d.ID {
			return room.Refuse(http.StatusConflict, "lead %d has this mobile", b.id)
		}
	}
	return nil
}
