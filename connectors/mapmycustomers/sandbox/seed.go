package sandbox

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// plant makes up the customers of a first start.
func (s *Simulator) plant() error {
	words := newVocabulary()
	err := s.Store.FillMany(s.seed, func(tx *room.Tx, n int) error {
		c := words.seedling(n)
		return tx.PutJSON(kindCustomers, c.ID, c)
	})
	if err != nil {
		return err
	}
	if s.seed == 0 {
		return nil
	}
	return s.Store.Fill(func(tx *room.Tx) error {
		return tx.PutJSON(kindUpdates, "s1", update{
			Username: s.made.Username, Type: "import", Notes: strconv.Itoa(s.seed) + " pins", Platform: "web",
			CreatedAt: phpDate{seedStart().Format(time.DateTime), 2, "Z"},
		})
	})
}

// seedStart is when the first made-up customer was made; each later one follows its predecessor by 3 minutes.
func seedStart() time.Time { return time.Date(2023, time.January, 2, 8, 0, 0, 0, time.UTC) }

type place struct {
	city, state, zip string // zip: the first three digits
	lat, lng         float64
}

// vocabulary is what made-up customers are made of.
type vocabulary struct {
	first, last, trade, form, street, kind, group, remind, note []string
	places                                                      []place
}

// newVocabulary returns the words. Real lists have accents, apostrophes, line breaks and leading zeros, so this one has.
func newVocabulary() *vocabulary {
	return &vocabulary{
		first: strings.Fields("James Mary Robert Patricia José Jennifer Michael Zoë David Elizabeth William Chloé Thomas Karen Søren Lisa Mark Nancy Daniel Ingrid Matthew Sandra Anthony Ashley Siobhán Emily Łukasz Michelle Kenji Amina"),
		last:  strings.Fields("Smith Johnson O'Brien Williams García Brown Jones Müller Davis Rodríguez Martinez Hernández Lopez D'Angelo Wilson Anderson Nguyen Taylor Moore Jackson Åberg Lee Perez Thompson White Harris Sanchez Clark St.Clair Young"),
		trade: []string{"Plumbing", "Roofing", "Dental Care", "Hardware", "Bakery", "Auto Parts", "Landscaping", "Medical Supply", "Furniture", "Coffee Roasters", "Printing", "HVAC", "Logistics", "Insurance", "Fitness"},
		form:  []string{"LLC", "Inc.", "& Sons", "Co.", "Group", "Partners, LLP", "Corp.", "Brothers"},
		street: []string{"Main", "Oak", "Ridge", "Maple", "Washington", "Lake", "Hill", "Cedar", "Martin Luther King Jr.", "Park", "2nd", "County Road S-22",
			"Elm", "Highland", "Church"},
		kind:   []string{"St", "Ave", "Rd", "Blvd", "Ln", "Dr", "Way", "Pkwy"},
		group:  []string{"Ohio", "Latest Finds", "Pittsburgh", "New Leads", "SC", "Distributors", "Key Accounts", "Trade Show 2023"},
		remind: []string{"Visit Again", "Call", "Send Quote", ""},
		note: []string{"", "", "", "", "good lead should call again", "Ask for the manager", "Gate code 0417; use the side entrance",
			"Said \"maybe next quarter\", wants a demo", "Closed on Mondays\nCall before 10", "Café next door – parking behind it", "50% off last order, see contract #0012"},
		places: []place{
			{"Pawleys Island", "South Carolina", "295", 33.43, -79.12}, {"Sharon Center", "Ohio", "442", 41.10, -81.73},
			{"Pittsburgh", "Pennsylvania", "152", 40.44, -79.99}, {"Boston", "Massachusetts", "021", 42.36, -71.06},
			{"Newark", "New Jersey", "071", 40.73, -74.17}, {"Santa Fe", "New Mexico", "875", 35.69, -105.94},
			{"Memphis", "Tennessee", "381", 35.15, -90.05}, {"Columbia", "South Carolina", "292", 34.00, -81.03},
			{"Charlotte", "North Carolina", "282", 35.23, -80.84}, {"Denver", "Colorado", "802", 39.74, -104.99},
			{"San José", "California", "951", 37.34, -121.89}, {"Saint Paul", "Minnesota", "551", 44.95, -93.09},
			{"Coeur d'Alene", "Idaho", "838", 47.68, -116.78}, {"Portland", "Maine", "041", 43.66, -70.26},
			{"Austin", "Texas", "787", 30.27, -97.74}, {"Honolulu", "Hawaii", "968", 21.31, -157.86},
		},
	}
}

// seedling makes up the nth customer, always the same one.
func (words *vocabulary) seedling(n int) customer {
	r := rand.New(rand.NewPCG(uint64(n), 0x6d6d63)) // a source of its own, so that it does not depend on how many there are
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	c := newCustomer()
	c.ID = room.Alnum("seed", int64(n), idLength)
	first, last := pick(words.first), pick(words.last)
	if r.IntN(10) > 0 {
		c.Name = first + " " + last
	}
	if c.Name == "" || r.IntN(4) > 0 {
		c.Company = pick(words.last) + " " + pick(words.trade) + " " + pick(words.form)
	}
	at := words.places[r.IntN(len(words.places))]
	c.Address = strconv.Itoa(1+r.IntN(9999)) + " " + pick(words.street) + " " + pick(words.kind)
	if r.IntN(12) == 0 {
		c.Address += ", Suite " + strconv.Itoa(100+r.IntN(900))
	}
	c.City, c.State, c.Country = at.city, at.state, "United States"
	c.Zip = at.zip + fmt.Sprintf("%02d", r.IntN(100))
	if r.IntN(5) > 0 {
		c.Email = fmt.Sprintf("contact%d@example.com", n)
	}
	if r.IntN(5) > 0 {
		c.Phone = fmt.Sprintf("+1%03d555%04d", 201+r.IntN(700), r.IntN(10000))
	}
	c.Color = colors()[r.IntN(15)]
	for i := range r.IntN(3) {
		if g := pick(words.group); i == 0 || g != c.Groups[0] {
			c.Groups = append(c.Groups, g)
		}
	}
	if r.IntN(3) == 0 {
		c.DealAmount = number(strconv.Itoa(100+r.IntN(90000)) + "." + fmt.Sprintf("%02d", r.IntN(100)))
	}
	c.Notes = pick(words.note)
	if r.IntN(20) > 0 { // the others are contacts without a place on the map
		c.Latitude = number(strconv.FormatFloat(at.lat+r.Float64()*0.2-0.1, 'f', 5, 64))
		c.Longitude = number(strconv.FormatFloat(at.lng+r.Float64()*0.2-0.1, 'f', 5, 64))
	}
	made := seedStart().Add(time.Duration(n) * 3 * time.Minute)
	changed := made.Add(time.Duration(r.IntN(60*24*3600)) * time.Second)
	if visits := r.IntN(6); visits > 0 {
		c.NumVisits = number(strconv.Itoa(visits))
		c.LastVisit = number(strconv.FormatInt(changed.Unix(), 10))
	}
	if r.IntN(4) == 0 {
		c.RemindType = pick(words.remind)
		c.RemindAt = number(strconv.FormatInt(changed.Add(30*24*time.Hour).Unix(), 10))
	}
	c.Custom0 = fmt.Sprintf("%06d", n)
	c.Custom1 = []string{"", "A", "B", "C"}[r.IntN(4)]
	c.Custom9 = "EXT-" + strconv.Itoa(100000+n)
	c.CreatedAt = phpDate{made.Format(time.DateTime), 2, "Z"}
	c.UpdatedAt = phpDate{changed.Format(time.DateTime), 2, "Z"}
	return c
}

func number(s string) *json.Number {
	n := json.Number(s)
	return &n
}
