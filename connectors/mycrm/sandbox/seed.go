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

// plant makes up the leads of a first start.
func (s *Simulator) plant() error {
	words := newVocabulary()
	err := s.Store.FillMany(s.seed, func(tx *room.Tx, n int) error {
		l := words.seedling(n, firstID+int64(n))
		return tx.PutJSON(kindLeads, strconv.FormatInt(l.ID, 10), l)
	})
	if err != nil {
		return err
	}
	return s.Store.Fill(func(tx *room.Tx) error {
		return tx.PutJSON(kindCounters, single, counters{Lead: firstID - 1 + int64(s.seed), Note: int64(s.seed)})
	})
}

// seedStart is when the first made-up lead was made; each later one follows its predecessor by 3 minutes.
func seedStart() time.Time { return time.Date(2023, time.January, 2, 8, 0, 0, 0, time.UTC) }

// vocabulary is what made-up leads are made of.
type vocabulary struct {
	first, last, street, country, note, bank []string
	places                                   []location
}

// newVocabulary returns the words. Real lists have accents, other scripts, apostrophes and line breaks, so this one has.
func newVocabulary() *vocabulary {
	return &vocabulary{
		first:   strings.Fields("Ahmed Sara John Maria Omar Fatima David Zoë Rahul Priya José Chen Søren Aisha Mohammed Olga Łukasz Yuki Siobhán عمر Élodie Amina"),
		last:    []string{"Al Maktoum", "Smith", "O'Brien", "García", "Khan", "Müller", "Al-Sayed", "Nair", "Petrov", "D'Angelo", "Haddad", "Åberg", "Tan", "Trump", "van der Berg", "Nguyễn", "St. Clair", "حداد"},
		street:  []string{"Dubai Marina", "Al Wasl Road", "JLT, Cluster D", "Sheikh Zayed Road", "Palm Jumeirah \"Frond F\"", "Corniche\nBuilding 4", "Al Khail"},
		country: []string{"AE", "AE", "AE", "GB", "IN", "FR", "SA", "DE"},
		note:    []string{"Call after 5 pm", "Wants a sea view; budget is firm", "Met at the expo\nspeaks Arabic", "Said \"maybe in spring\""},
		bank:    []string{"emirates nbd", "HSBC", "Mashreq"},
		places:  locations(),
	}
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// seedling makes up the nth lead, always the same one. Like real ones, many lack what a create would ask for.
func (words *vocabulary) seedling(n int, id int64) *lead {
	r := rand.New(rand.NewPCG(uint64(n), 0x6d7963726d)) // a source of its own, so that it does not depend on how many there are
	some := func(one int, v string) *string {
		if r.IntN(one) == 0 {
			return nil
		}
		return &v
	}
	l := newLead()
	l.ID, l.Matching = id, matchingOf(id)
	l.Title, l.FirstName, l.LastName = some(10, pick(r, titles)), some(15, pick(r, words.first)), some(50, pick(r, words.last))
	l.Email = some(4, fmt.Sprintf("lead%d@example.com", id))
	if r.IntN(20) == 0 {
		l.MiddleName = some(2, pick(r, words.first))
	}
	mobile := fmt.Sprintf("+9715%08d", 10000000+(n*7919)%90000000)
	if r.IntN(4) == 0 {
		mobile = "05" + mobile[5:] // as people in the country write it
	}
	l.Mobile = &mobile
	l.Address, l.Pobox = some(2, pick(r, words.street)), some(3, fmt.Sprintf("%05d", r.IntN(90000)))
	l.City, l.Country = some(4, "Dubai"), some(10, pick(r, words.country))
	l.Status = some(1000, pick(r, statuses))
	l.Quality, l.Financial, l.TimeFrame = some(3, pick(r, qualities)), some(4, pick(r, financials)), some(3, pick(r, timeFrames))
	if value(l.Financial) == "mortgage" {
		l.MortgageStatus, l.Bank = some(3, pick(r, mortgageStatuses)), some(2, pick(r, words.bank))
	}
	source := pick(r, sources)
	l.Source = &source
	if related := channelsOf(source); related != nil {
		l.SourceChannel = some(10, pick(r, related))
	} else {
		l.SourceChannel = some(4, "Friend of the owner")
	}
	l.User = &ref{1 + int64(r.IntN(len(users())))}
	l.CreatedAt = seedStart().Add(time.Duration(n) * 3 * time.Minute)
	l.UpdatedAt = l.CreatedAt.Add(time.Duration(r.IntN(60*24*3600)) * time.Second)
	category := "residential"
	if r.IntN(6) == 0 {
		category = "commercial"
	}
	l.Kept.Category = &category
	if r.IntN(5) > 0 { // the others came without a wish
		words.wish(r, l, category)
	}
	words.rest(r, l)
	return l
}

// wish makes up what the lead is looking for.
func (words *vocabulary) wish(r *rand.Rand, l *lead, category string) {
	number := func(n int) *int64 {
		v := int64(n)
		return &v
	}
	offering, typ := pick(r, offeringTypes), int64(1+r.IntN(4))
	if category == "commercial" {
		typ += 4
	}
	price := 50_000 + 10_000*r.IntN(200)
	p := preference{
		ID: strconv.FormatInt(l.ID, 10), OfferingType: &offering, Types: []propertyType{propertyTypeByID(typ, category)},
		Locations: []location{words.places[r.IntN(len(words.places))]}, FromPrice: number(price), ToPrice: number(price + 25_000),
	}
	if r.IntN(2) == 0 {
		p.FromSize, p.ToSize = number(500+100*r.IntN(10)), number(1500+100*r.IntN(20))
		p.FromBedroom, p.ToBedroom, p.FromBathroom, p.ToBathroom = number(1), number(1+r.IntN(4)), number(1), number(1+r.IntN(3))
	}
	for id := int64(1); id <= 8; id++ {
		if r.IntN(5) == 0 {
			l.Amenities = append(l.Amenities, amenityByID(id))
		}
	}
	l.Preferences = []preference{p}
}

// rest makes up what few leads have.
func (words *vocabulary) rest(r *rand.Rand, l *lead) {
	text := func(s string) *string { return &s }
	if r.IntN(4) == 0 {
		l.Fields["1"] = json.RawMessage(fmt.Sprintf(`"%d pets"`, r.IntN(4)))
		l.Fields["3"] = json.RawMessage(strconv.FormatBool(r.IntN(2) == 0))
	}
	if r.IntN(8) == 0 {
		l.Fields["8"] = json.RawMessage(fmt.Sprintf("%d.%d0", r.IntN(100), r.IntN(10)))
	}
	if r.IntN(20) == 0 {
		l.Passport, l.PassportExpiry = text(fmt.Sprintf("RDR%d", 7800+r.IntN(1000))), text(fmt.Sprintf("20%d-0%d-15", 26+r.IntN(8), 1+r.IntN(9)))
	}
	if r.IntN(25) == 0 {
		l.LegalFirst, l.LegalLast = text("Shi"), text("Sha")
		l.LegalEmail, l.LegalMobile = text("shi.sha@gmail.com"), text("+97150"+strconv.Itoa(1000000+r.IntN(8999999)))
	}
	if r.IntN(6) == 0 {
		l.Kept.Notes = append(l.Kept.Notes, note{ID: l.ID - firstID + 1, Body: pick(r, words.note), CreatedAt: l.CreatedAt})
	}
	if r.IntN(6) == 0 {
		l.Kept.Properties = append(l.Kept.Properties, int64(1+r.IntN(9)))
	}
}
