package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// columns are those of the leads that every work here begins with.
var columns = []string{"id", "first_name", "last_name", "company", "email", "phone", "street", "city", "state", "postal_code",
	"country", "title", "industry", "employees", "annual_revenue", "lead_source", "status", "created_at", "score", "notes"}

var (
	firstNames = []string{"James", "Mary", "José", "Zoë", "Wei", "美咲", "Søren", "Chloé", "Олег", "Fatima", "Łukasz", "Jürgen", "Siobhán", "Nguyễn", "Priya", "Mohammed", "Emma", "Noah", "Ingrid", "지민"}
	lastNames  = []string{"Smith", "García", "Müller", "O'Brien", "Dvořák", "Nakamura", "田中", "Иванов", "Gonçalves", "Hansen", "Yılmaz", "Patel", "Khan", "Rossi", "Van-Dyke", "Brown", "Okafor", "Lee", "Mensah", "李"}
	houses     = []string{"Acme", "Globex", "Initech", "Umbrella", "Vandelay", "Stark", "Wonka", "Tyrell", "Aperture", "Nakatomi", "Zażółć", "Éclair", "Müllerei"}
	forms      = []string{"Inc", "LLC", "GmbH", "Ltd", "S.A.", "& Co, Inc", "K.K.", "B.V."}
	streets    = []string{"Main St", "Oak Avenue", "Königsallee", "Rue de la Paix", "Calle Mayor", "Ulica Długa", "Park Rd"}
	cities     = []string{"San Francisco", "München", "São Paulo", "東京", "Kraków", "Paris", "London", "Hồ Chí Minh", "Bogotá"}
	states     = []string{"CA", "NY", "BY", "SP", "TX", "", "ON", "NSW"}
	countries  = []string{"United States", "Germany", "Brazil", "Japan", "Poland", "France", "Vietnam", "Colombia"}
	titles     = []string{"VP Sales", "CEO", "Head of Marketing", "Buyer, Senior", "", "Procurement Manager"}
	industries = []string{"Software", "Manufacturing", "Retail", "Finance", "Energy"}
	channels   = []string{"Web", "Referral", "Trade Show", "Cold Call", "Partner"}
	stages     = []string{"new", "working", "qualified", "converted"}
	domains    = []string{"Example.com", "mail.example.org", "Corp.Example.net", "example.co.uk", "EXAMPLE.DE"}
	words      = []string{"called", "left", "voicemail", "interested", "in", "the", "premium", "plan", "follow", "up", "next", "week", "budget", "approved", "pricing", "too", "high", "renewal", "contract", "signed"}
)

// maker makes leads, the same ones for the same seed.
type maker struct {
	r   *rand.Rand
	row int
}

func newMaker(seed uint64) *maker { return &maker{r: rand.New(rand.NewPCG(seed, 7))} }

func (m *maker) pick(from []string) string { return from[m.r.IntN(len(from))] }

func (m *maker) number(from, to int) string { return strconv.Itoa(from + m.r.IntN(to-from)) }

// ascii keeps what an address can hold.
func ascii(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; c >= 'a' && c <= 'z' {
			b = append(b, s[i])
		}
	}
	if len(b) == 0 {
		return "user"
	}
	return string(b)
}

// next fills one row. One in a hundred has neither name nor company, which makes it a row to refuse.
func (m *maker) next(cells []string) {
	m.row++
	first, last := m.pick(firstNames), m.pick(lastNames)
	company := m.pick(houses) + " " + m.pick(forms)
	cells[4] = ascii(first) + "." + ascii(last) + m.number(0, 100000) + "@" + m.pick(domains)
	if m.r.IntN(50) == 0 {
		first, last = "", ""
		if m.r.IntN(2) == 0 {
			company = ""
		}
	}
	cells[0] = "L" + strconv.Itoa(10_000_000+m.row)
	cells[1], cells[2], cells[3] = first, last, company
	cells[5] = "+1-" + m.number(200, 900) + "-" + m.number(100, 1000) + "-" + m.number(1000, 10000)
	cells[6] = m.number(1, 10000) + " " + m.pick(streets)
	if m.r.IntN(3) == 0 {
		cells[6] += ", Apt " + m.number(1, 900)
	}
	cells[7], cells[8], cells[9] = m.pick(cities), m.pick(states), m.number(10000, 100000)
	cells[10], cells[11], cells[12] = m.pick(countries), m.pick(titles), m.pick(industries)
	cells[13], cells[14] = m.number(1, 50000), strconv.Itoa(1000*(1+m.r.IntN(900000)))
	cells[15], cells[16] = m.pick(channels), m.pick(stages)
	cells[17] = time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(m.r.IntN(8*365*24*60)) * time.Minute).Format("01/02/2006 15:04")
	cells[18] = m.number(0, 101)
	var b []byte
	n := m.r.IntN(14)
	for k := range n {
		switch {
		case k == 0:
		case n > 10 && k == 5:
			b = append(b, '\n')
		case m.r.IntN(25) == 0:
			b = append(b, ", "...)
		default:
			b = append(b, ' ')
		}
		if m.r.IntN(60) == 0 {
			b = append(append(append(b, '"'), m.pick(words)...), '"')
		} else {
			b = append(b, m.pick(words)...)
		}
	}
	cells[19] = string(b)
}

// writeCSV writes rows of leads under their header.
func writeCSV(out io.Writer, rows int, seed uint64) error {
	w := bufio.NewWriterSize(out, 1<<20)
	m := newMaker(seed)
	cells := make([]string, len(columns))
	var line []byte
	for i := range rows + 1 {
		from := columns
		if i > 0 {
			m.next(cells)
			from = cells
		}
		line = line[:0]
		for k, c := range from {
			if k > 0 {
				line = append(line, ',')
			}
			line = appendCell(line, c)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return w.Flush()
}

func appendCell(dst []byte, s string) []byte {
	if !bytes.ContainsAny([]byte(s), ",\"\n") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// makeFile makes a file unless it is there.
func makeFile(path string, write func(*os.File) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
