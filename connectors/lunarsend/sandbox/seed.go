package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// plant makes up the contacts of a first start.
func (s *Simulator) plant() error {
	words := newVocabulary()
	return s.Store.FillMany(s.seed, func(tx *room.Tx, n int) error {
		one := words.seedling(n)
		if err := tx.PutJSON(kindContacts, one.ID, one); err != nil {
			return err
		}
		// No two of them share an address, so nothing is looked up.
		return setEmails(tx, one.Email, []string{one.ID})
	})
}

// seedStart is when the first made-up contact was made; each later one follows its predecessor by 7 minutes.
func seedStart() time.Time { return time.Date(2024, time.March, 4, 9, 0, 0, 0, time.UTC) }

// vocabulary is what made-up contacts are made of.
type vocabulary struct {
	first, last, trade, form, job, note []string
	tags                                []tag
}

// newVocabulary returns the words. Real lists have accents, apostrophes, commas and line breaks, so this one has.
func newVocabulary() *vocabulary {
	return &vocabulary{
		first: strings.Fields("Olivia Noah Anaïs Liam Zoë Mateo Chloé Ethan Søren Priya Lucas Ingrid Omar Beatrix Jürgen Hana Diego Siobhán Łukasz Amina Marie-Claire Kenji Fatima Tom"),
		last:  []string{"Okafor", "Smith", "O'Neill", "García", "Müller", "van der Berg", "Nguyen", "D'Amico", "Kowalski", "Åkesson", "Haddad", "Silva", "Brown", "Ito", "de la Cruz", "Novák", "Martin", "Singh", "Jones", "Petrov"},
		trade: []string{"Software", "Analytics", "Foods", "Travel", "Studio", "Robotics", "Media", "Textiles", "Energy", "Legal"},
		form:  []string{"Inc.", "GmbH", "Ltd", "& Co.", "LLC", "S.A.", "Partners, LLP"},
		job:   []string{"", "Sales Manager", "CEO", "Head of Growth", "Buyer", "Office Manager", "CTO", "VP, Marketing", "Founder & CEO"},
		note: []string{"", "", "", "Interested in product demo", "Asked for pricing; call after 2 pm", "Said \"next quarter\"", "Met at the fair in Köln",
			"Renewal in May\nspeak to Ana first", "10% off agreed", "Do not e-mail on Fridays"},
		tags: []tag{
			{uuid("tag ", 1), "Customer", "#22c55e"}, {uuid("tag ", 2), "Newsletter", "#3b82f6"}, {uuid("tag ", 3), "Trade fair, 2024", "#f97316"},
		},
	}
}

// seedling makes up the nth contact, always the same one.
func (words *vocabulary) seedling(n int) contact {
	r := rand.New(rand.NewPCG(uint64(n), 0x6c756e6172)) // a source of its own, so that it does not depend on how many there are
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	made := seedStart().Add(time.Duration(n) * 7 * time.Minute)
	one := newContact(made)
	// An account that is older than v2 has both forms of ids.
	one.ID = room.Digits("seed", int64(n), idLength)
	if n%3 == 2 {
		one.ID = uuid("seed ", int64(n))
	}
	one.FirstName = pick(words.first)
	if r.IntN(12) > 0 {
		one.LastName = pick(words.last)
	}
	one.Email = fmt.Sprintf("contact%d@example.com", n)
	if r.IntN(5) > 0 {
		one.Phone = fmt.Sprintf("+1%03d555%04d", 201+r.IntN(700), r.IntN(10000))
		if r.IntN(4) == 0 {
			one.Phone, one.PhoneNumber = one.Phone[1:], true
		}
	}
	if r.IntN(4) > 0 {
		one.Company = pick(words.last) + " " + pick(words.trade) + " " + pick(words.form)
	}
	one.JobTitle, one.Notes = pick(words.job), pick(words.note)
	if r.IntN(3) > 0 {
		one.LastActivity = made.Add(time.Duration(r.IntN(90*24*3600)) * time.Second).Format(time.RFC3339)
	}
	for _, t := range words.tags {
		if r.IntN(4) == 0 {
			one.Tags = append(one.Tags, t)
		}
	}
	return one
}
