package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// location is a place as reads show it. Numbers keep their digits.
type location struct {
	ID           string       `json:"id"`
	City         *string      `json:"city"`
	Community    *string      `json:"community"`
	SubCommunity *string      `json:"sub_community"`
	Tower        *string      `json:"tower"`
	Latitude     *json.Number `json:"latitude"`
	Longitude    *json.Number `json:"longitude"`
}

// place makes a location; an empty text is null.
func place(id, city, community, sub, tower, lat, lng string) location {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	number := func(s string) *json.Number {
		if s == "" {
			return nil
		}
		n := json.Number(s)
		return &n
	}
	return location{id, text(city), text(community), text(sub), text(tower), number(lat), number(lng)}
}

// locations are the places that the sandbox knows: the document's, and others, some of them with the same names.
func locations() []location {
	return []location{
		place("are.1.1", "Abu Dhabi", "", "", "", "24.4539", "54.3773"),
		place("are.1.310", "Abu Dhabi", "Al Reem Island", "Marina Square", "Marina Heights", "24.4988", "54.4069"),
		place("are.2.15", "Dubai", "Dubai Marina", "", "", "25.0805", "55.1403"),
		place("are.2.16", "Dubai", "Dubai Marina", "Marina Promenade", "", "25.0840", "55.1458"),
		place("are.2.17", "Dubai", "Dubai Marina", "Marina Promenade", "Attessa", "25.0843", "55.1463"),
		place("are.2.18", "Dubai", "Palm Jumeirah", "Shoreline Apartments", "Al Hamri", "25.1050", "55.1491"),
		place("are.2.19", "Dubai", "Downtown Dubai", "Burj Khalifa Area", "Burj Khalifa", "25.1972", "55.2744"),
		place("are.2.20", "Dubai", "Arabian Ranches", "Mirador", "", "25.0554", "55.2687"),
		place("are.2.21", "Dubai", "Arabian Ranches 2", "Rasha", "", "25.0411", "55.2831"),
		place("are.3.1200", "Dubai", "Jumeirah Lake Towers", "Lake Almas West", "Wind Tower 1", "25.067359024462", "55.137580800802"),
		place("are.3.1201", "Dubai", "Jumeirah Lake Towers", "Lake Almas West", "Wind Tower 2", "25.0668", "55.1380"),
		place("are.4.7", "Sharjah", "Al Majaz", "", "", "25.3272", "55.3833"),
		place("are.5.2", "Ras Al Khaimah", "Mina Al Arab", "", "", "25.7200", "55.8460"),
	}
}

// locationByID returns a place. One that the sandbox does not know has an id and nothing else.
func locationByID(id string) location {
	for _, l := range locations() {
		if l.ID == id {
			return l
		}
	}
	return location{ID: id}
}

// listLocations answers GET /locations. The list's key is location, in the singular.
func (s *Simulator) listLocations(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	wrong := fieldErrors{}
	term := ""
	for name, n := range q.kids["filters"].sorted() {
		if name != "string" {
			c.unknown(wrong, "filters."+name)
			continue
		}
		if term, err = n.scalar(); err != nil {
			wrong.add("filters.string", "%v", err)
		}
	}
	c.unknownParams(wrong, q, "filters", "page", "per_page")
	page, per := c.page(wrong, q)
	if err := wrong.orNil(); err != nil {
		return err
	}
	found := []location{}
	for _, l := range locations() {
		for _, name := range []*string{l.City, l.Community, l.SubCommunity, l.Tower} {
			if name != nil && foldContains(*name, term) {
				found = append(found, l)
				break
			}
		}
	}
	from, to := window(page, per, len(found))
	room.WriteJSON(c.w, http.StatusOK, struct {
		Location []location `json:"location"`
		Count    int        `json:"count"`
	}{found[from:to], len(found)})
	return nil
}

// foldContains reports whether s has term, without regard to case.
func foldContains(s, term string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(term))
}

// customField is an entry of GET /fields.
type customField struct {
	ID          int    `json:"id"`
	Resource    string `json:"resource"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Mandatory   bool   `json:"mandatory"`
	Restricted  bool   `json:"restricted"`
}

// The types of custom fields.
const (
	typeText    = "text"
	typeNumber  = "number"
	typeDate    = "date"
	typeEmail   = "email"
	typePhone   = "phone"
	typeBoolean = "boolean"
	typeURL     = "URL"
)

// fieldResources are the kinds of records that can have custom fields.
var fieldResources = []string{"lead", "property", "landlord", "user", "transaction"}

// customFields are the account's: at least one of each type for leads. 1 and 3 hold what the document's sample has in them.
func customFields() []customField {
	lead := func(id int, name, description, typ string) customField {
		return customField{ID: id, Resource: "lead", Name: name, Description: description, Type: typ}
	}
	return []customField{
		lead(1, "Number of pets", "As the lead puts it", typeText),
		lead(2, "Preferred language", "", typeText),
		lead(3, "Pets allowed", "", typeBoolean),
		lead(4, "Visa expiry", "", typeDate),
		lead(5, "Second e-mail", "", typeEmail),
		lead(6, "Office phone", "", typePhone),
		lead(7, "Profile", "Page of the lead in a social network", typeURL),
		lead(8, "Score", "0 to 100", typeNumber),
		{ID: 21, Resource: "property", Name: "View", Type: typeText},
		{ID: 22, Resource: "property", Name: "Vacant", Type: typeBoolean},
		{ID: 31, Resource: "landlord", Name: "Nationality", Type: typeText},
	}
}

// fieldOf returns a custom field of a resource by its id as it is written.
func fieldOf(resource, id string) (customField, bool) {
	for _, f := range customFields() {
		if f.Resource == resource && strconv.Itoa(f.ID) == id {
			return f, true
		}
	}
	return customField{}, false
}

// listFields answers GET /fields, which needs filters[resource].
func (s *Simulator) listFields(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	wrong := fieldErrors{}
	resource := ""
	for name, n := range q.kids["filters"].sorted() {
		if name != "resource" {
			c.unknown(wrong, "filters."+name)
			continue
		}
		if resource, err = n.scalar(); err != nil {
			wrong.add("filters.resource", "%v", err)
		}
	}
	c.unknownParams(wrong, q, "filters")
	if resource == "" {
		wrong.add("filters.resource", "is required")
	} else if !slices.Contains(fieldResources, resource) {
		wrong.add("filters.resource", "%q is none of %s", resource, strings.Join(fieldResources, ", "))
	}
	if err := wrong.orNil(); err != nil {
		return err
	}
	out := []customField{}
	for _, f := range customFields() {
		if f.Resource == resource {
			f.Mandatory = resource == "lead" && f.ID == c.knobs.MandatoryField
			out = append(out, f)
		}
	}
	room.WriteJSON(c.w, http.StatusOK, struct {
		Fields []customField `json:"fields"`
	}{out})
	return nil
}

// user is an agent, as an expanded lead shows it.
type user struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	Mobile    string `json:"mobile"`
}

// ownUser is the agent that the credentials belong to: new leads are theirs unless the request says otherwise.
const ownUser = 1

// users are the account's agents; the first is the document's.
func users() []user {
	names := [][2]string{
		{"Jean", "Pac"}, {"Aisha", "Al Mansoori"}, {"Omar", "Haddad"}, {"Priya", "Nair"}, {"Søren", "Åberg"},
		{"Mei", "Chen"}, {"Tom", "O'Brien"}, {"Fatima", "Zahra"}, {"Luis", "García"}, {"Olena", "Shevchenko"},
	}
	out := make([]user, len(names))
	for i, n := range names {
		out[i] = user{int64(i + 1), n[0], n[1], "agent" + strconv.Itoa(i+1) + "@agency.example", "+97150555000" + strconv.Itoa(i)}
	}
	return out
}

func userByID(id int64) (user, bool) {
	all := users()
	if id < 1 || id > int64(len(all)) {
		return user{}, false
	}
	return all[id-1], true
}

// getUser answers GET /users/{id}.
func (s *Simulator) getUser(c *call) error {
	id, err := c.leadID()
	u, ok := userByID(id)
	if err != nil || !ok {
		return room.Refuse(http.StatusNotFound, "there is no user %s", strconv.QuoteToASCII(c.args[0]))
	}
	var out struct {
		User struct {
			ID     int64 `json:"id"`
			Public user  `json:"public"`
		} `json:"user"`
	}
	out.User.ID, out.User.Public = u.ID, u
	room.WriteJSON(c.w, http.StatusOK, out)
	return nil
}

// propertyTypeByID returns a type of property. 2 is the document's; what others the vendor has is not public, so an
// unknown one has a made-up name.
func propertyTypeByID(id int64, category string) propertyType {
	names := []string{"Villa", "Apartment", "Townhouse", "Penthouse", "Office", "Shop", "Warehouse", "Labour Camp"}
	if id < 1 || id > int64(len(names)) {
		return propertyType{id, "Type " + strconv.FormatInt(id, 10), category}
	}
	if id > 4 {
		return propertyType{id, names[id-1], "commercial"}
	}
	return propertyType{id, names[id-1], "residential"}
}

// amenityByID returns an amenity. 1 is the document's.
func amenityByID(id int64) named {
	names := []string{"swimming pool", "gym", "balcony", "covered parking", "maid's room", "sea view", "security", "pets allowed"}
	if id < 1 || id > int64(len(names)) {
		return named{id, "amenity " + strconv.FormatInt(id, 10)}
	}
	return named{id, names[id-1]}
}

// propertyFields returns the custom fields of a property, nil for none. Properties are not served here; a filter on leads
// needs some.
func propertyFields(id int64) fieldValues {
	switch id {
	case 1:
		return fieldValues{"21": json.RawMessage(`"sea view"`), "22": json.RawMessage(`true`)}
	case 2:
		return fieldValues{"21": json.RawMessage(`"park"`), "22": json.RawMessage(`false`)}
	case 3:
		return fieldValues{"21": json.RawMessage(`"Test"`)}
	}
	return nil
}
