package sandbox

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// path is a route or a territory: both have the same shape.
type path struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Points    []string `json:"points"` // "latitude,longitude"
	CreatedAt phpDate  `json:"createdAt"`
	UpdatedAt phpDate  `json:"updatedAt"`
}

// sampleTerritories are the document's two, for no call makes one.
func sampleTerritories() []path {
	day := func(s string) phpDate { return phpDate{s, 2, "Z"} }
	return []path{
		{"h8e44x3Ope", "Southern Track",
			[]string{"35.37376,-89.87562", "35.20126,-87.02965", "35.89256,-84.14553", "34.00071,-81.03481", "35.22709,-80.84313"},
			day("2016-05-06 23:32:06"), day("2016-05-25 00:47:46")},
		{"GuWxXoPS4P", "New Leads", []string{"35.692130,-105.939590"}, day("2016-05-06 23:30:17"), day("2016-05-25 16:23:34")},
	}
}

// createRoute answers POST /routes. The points of a route are its customers' places, in the order they were sent.
func (s *Simulator) createRoute(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	r := path{CreatedAt: newDate(c.at, c.knobs), UpdatedAt: newDate(c.at, c.knobs)}
	var ids []string
	for _, m := range members {
		ok := true
		switch m.Name {
		case "routeName":
			r.Name, ok = m.Text()
		case "customerIds":
			ids, ok = m.Texts()
		default:
			if !c.knobs.Lenient {
				return room.Invalid("%s: a new route has routeName and customerIds", m.Name)
			}
		}
		if !ok {
			return room.Invalid("%s: want a string for routeName, an array of strings for customerIds", m.Name)
		}
	}
	if strings.TrimSpace(r.Name) == "" {
		return room.Invalid("routeName is required")
	}
	if len(ids) == 0 {
		return room.Invalid("customerIds is required")
	}
	err = s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		for _, id := range ids {
			doc, ok, err := tx.Get(kindCustomers, id)
			if err != nil {
				return "", err
			}
			if !ok {
				return "", room.Invalid("customerIds: there is no customer with objectid %s", id)
			}
			var one customer
			if err := json.Unmarshal(doc, &one); err != nil {
				return "", err
			}
			r.Points = append(r.Points, one.point())
		}
		for n := tx.N(); r.ID == "" || tx.Has(kindRoutes, r.ID); n += 1 << 40 {
			r.ID = room.Alnum("route", n, idLength)
		}
		return r.ID, tx.PutJSON(kindRoutes, r.ID, r)
	})
	if err != nil {
		return err
	}
	return c.say(c.knobs.CreateStatus, "Object created.")
}

// point is where a customer is on a route. The vendor finds addresses on the map; here one without coordinates gets
// a place in the middle of the United States that depends on its address alone.
func (c *customer) point() string {
	if c.Latitude != nil && c.Longitude != nil {
		return c.Latitude.String() + "," + c.Longitude.String()
	}
	h := fnv.New64a()
	for _, part := range []string{c.Address, c.City, c.State, c.Zip, c.Country} {
		_, _ = h.Write(append([]byte(part), 0))
	}
	n := h.Sum64()
	return fmt.Sprintf("%.5f,%.5f", 33+float64(n%1_200_000)/100_000, -115+float64(n>>32%3_500_000)/100_000)
}

// update is an entry of GET /updates.
type update struct {
	Username   string  `json:"username"`
	CustomerID string  `json:"customerId"`
	Type       string  `json:"type"`
	Notes      string  `json:"notes"`
	Platform   string  `json:"platform"`
	CreatedAt  phpDate `json:"createdAt"`
}

// note adds an entry to the updates. The document names two types, import and addedNote, and one platform, web; what the
// vendor calls a call of its API there is a guess.
func (s *Simulator) note(tx *room.Tx, c *call, u update) error {
	u.Username, u.Platform, u.CreatedAt = c.claim.Data.Username, "api", newDate(c.at, c.knobs)
	return tx.PutJSON(kindUpdates, "w"+strconv.FormatInt(tx.N(), 10), u)
}

// user is the answer of GET /user.
type user struct {
	Username       string   `json:"username"`
	Name           string   `json:"name"`
	Phone          string   `json:"phone"`
	NumPins        int      `json:"numPins"`
	Colors         []string `json:"colors"`
	NumGroups      int      `json:"numGroups"`
	Groups         []string `json:"groups"`
	HiddenGroups   []string `json:"hiddenGroups"`
	RequiredGroups []string `json:"requiredGroups"`
	CreatedAt      phpDate  `json:"createdAt"`
	UpdatedAt      phpDate  `json:"updatedAt"`
}

// userID is the objectId in tokens: that of the document's sample.
const userID = "gjmVUryhoI"

// newUser is the document's sample with the account's own name, without a required group, which would need an
// explanation that the document does not give. numPins reads as what the plan allows, so it is more than there are.
func newUser(name string, seed int) user {
	return user{
		Username: name, Name: "Olivia Parker", Phone: "432-456-7891",
		NumPins: max(50000, 2*seed), Colors: colors(), NumGroups: 500,
		Groups: []string{"Ohio", "Latest Finds", "Pittsburgh"}, HiddenGroups: []string{}, RequiredGroups: []string{},
		CreatedAt: phpDate{"2014-12-18 17:32:32", 2, "Z"}, UpdatedAt: phpDate{"2016-05-26 18:11:03", 2, "Z"},
	}
}

// getUser answers GET /user.
func (s *Simulator) getUser(c *call) error {
	doc, ok, err := s.Store.Get(kindAccount, single)
	if err != nil {
		return err
	}
	if !ok {
		return room.Refuse(404, "there is no account")
	}
	room.WriteRaw(c.w, 200, doc)
	return nil
}

// putFields answers PUT /user/customfields: each label names one of the ten slots custom0 to custom9. A slot that gets a
// new label loses its old one.
func (s *Simulator) putFields(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return room.Invalid("want at least one label with its slot")
	}
	slots := map[string]string{}
	for _, m := range members {
		n, ok := m.Integer()
		if !ok || n < 0 || n > 9 {
			return room.Invalid("%s: want a slot, a whole number from 0 to 9", m.Name)
		}
		if strings.TrimSpace(m.Name) == "" {
			return room.Invalid("slot %d has no label", n)
		}
		slot := strconv.FormatInt(n, 10)
		if other, taken := slots[slot]; taken {
			return room.Invalid("%s and %s have the same slot %s", other, m.Name, slot)
		}
		slots[slot] = m.Name
	}
	err = s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		all := map[string]string{}
		doc, ok, err := tx.Get(kindFields, single)
		if err != nil {
			return "", err
		}
		if ok {
			if err := json.Unmarshal(doc, &all); err != nil {
				return "", err
			}
		}
		for slot, label := range slots {
			for old, l := range all {
				if l == label {
					delete(all, old)
				}
			}
			all[slot] = label
		}
		return "", tx.PutJSON(kindFields, single, all)
	})
	if err != nil {
		return err
	}
	return c.say(200, "User's custom fields successfully updated.")
}

// putGroups answers PUT /user/groups, which replaces all groups.
func (s *Simulator) putGroups(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	var groups []string
	for _, m := range members {
		if m.Name != "groups" {
			if c.knobs.Lenient {
				continue
			}
			return room.Invalid("%s: want groups alone", m.Name)
		}
		list, ok := m.Texts()
		if !ok {
			return room.Invalid("groups: want an array of strings")
		}
		groups = list
	}
	if groups == nil {
		return room.Invalid("groups is required")
	}
	for _, g := range groups {
		if strings.TrimSpace(g) == "" {
			return room.Invalid("groups: a group has a name")
		}
	}
	err = s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		doc, _, err := tx.Get(kindAccount, single)
		if err != nil {
			return "", err
		}
		var u user
		if err := json.Unmarshal(doc, &u); err != nil {
			return "", err
		}
		u.Groups, u.UpdatedAt = groups, newDate(c.at, c.knobs)
		return "", tx.PutJSON(kindAccount, single, u)
	})
	if err != nil {
		return err
	}
	return c.say(200, "User's groups successfully updated.")
}
