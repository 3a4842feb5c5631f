package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// customer is what the standard library decodes a customer of the list into: the fields that an export writes.
type customer struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Company    string      `json:"company"`
	Address    string      `json:"address"`
	City       string      `json:"city"`
	State      string      `json:"state"`
	Zip        string      `json:"zip"`
	Country    string      `json:"country"`
	Email      string      `json:"email"`
	Phone      string      `json:"phone"`
	Color      string      `json:"color"`
	Groups     []string    `json:"groups"`
	DealAmount json.Number `json:"dealAmount"`
	Notes      string      `json:"notes"`
	Latitude   json.Number `json:"latitude"`
	Longitude  json.Number `json:"longitude"`
	LastVisit  json.Number `json:"lastVisit"`
	NumVisits  json.Number `json:"numVisits"`
	RemindAt   json.Number `json:"remindAt"`
	RemindType string      `json:"remindType"`
	Custom0    string      `json:"custom0"`
	Custom1    string      `json:"custom1"`
	Custom2    string      `json:"custom2"`
	Custom3    string      `json:"custom3"`
	Custom4    string      `json:"custom4"`
	Custom5    string      `json:"custom5"`
	Custom6    string      `json:"custom6"`
	Custom7    string      `json:"custom7"`
	Custom8    string      `json:"custom8"`
	Custom9    string      `json:"custom9"`
	CreatedAt  moment      `json:"createdAt"`
	UpdatedAt  moment      `json:"updatedAt"`
}

// moment is a time as the vendor's language writes it.
type moment struct {
	Date string `json:"date"`
	Type int    `json:"timezone_type"`
	Zone string `json:"timezone"`
}

// customers makes the file that the vendor's list consists of: the simulator makes the customers up, and is asked once.
func (s *setting) customers(ctx context.Context, rows int) (string, error) {
	path := s.path(fmt.Sprintf("customers-%d.json", rows))
	return path, makeFile(path, func(f *os.File) error {
		_, base, stop, err := s.sandbox(ctx, "set mapmycustomers.token_activation=0s", "--seed", fmt.Sprint(rows))
		if err != nil {
			return err
		}
		defer stop()
		ask := func(path string, sign func(*http.Request)) (*http.Response, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
			if err != nil {
				return nil, err
			}
			sign(r)
			answer, err := http.DefaultClient.Do(r)
			if err == nil && answer.StatusCode != http.StatusOK {
				_ = answer.Body.Close()
				err = fmt.Errorf("GET %s: %s", path, answer.Status)
			}
			return answer, err
		}
		answer, err := ask("/token", func(r *http.Request) { r.SetBasicAuth("ops@example.com", "sandbox") })
		if err != nil {
			return err
		}
		var got struct{ Token string }
		err = json.NewDecoder(answer.Body).Decode(&got)
		_ = answer.Body.Close()
		if err != nil {
			return err
		}
		answer, err = ask("/customers", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+got.Token) })
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		_, err = io.Copy(f, answer.Body)
		return err
	})
}

// prepareW6 starts a server that has the list ready.
func prepareW6(ctx context.Context, s *setting, rows int) (job, error) {
	list, err := s.customers(ctx, rows)
	if err != nil {
		return job{}, err
	}
	base := ""
	stop, err := s.start(ctx, func(line string) bool {
		base = "http://" + line + "/api/v1"
		return true
	}, s.self, "do-list", list)
	if err != nil {
		return job{}, err
	}
	env := append(s.homes(), "CRMETL_MAPMYCUSTOMERS_BASE_URL="+base, "CRMETL_MAPMYCUSTOMERS_USERNAME=bench@example.com", "CRMETL_MAPMYCUSTOMERS_PASSWORD=secret",
		"CRMETL_MAPMYCUSTOMERS_TOKEN_ACTIVATION=0s", "CRMETL_MAPMYCUSTOMERS_RATE=1000") // or runs would wait for each other's calls
	export := func(name, out string, check func(ctx context.Context) error) contender {
		run := s.path("run-w6")
		return contender{name: name, env: env, check: check, fresh: []string{run, out},
			args: []string{s.crmetl, "export", "mapmycustomers/customers", out, "--run-dir", run, "-q"}}
	}
	csv, book := s.path("w6.csv"), s.path("w6.xlsx")
	const alone = "encoding/json, decoding alone"
	return job{
		list: []contender{
			{name: alone, args: []string{s.self, "do-decode", base + "/customers"}},
			export("crmetl export, CSV", csv, func(context.Context) error { return sameCustomers(list, csv, rows) }),
			export("crmetl export, XLSX", book, func(ctx context.Context) error {
				back := s.path("w6-back.csv")
				if err := s.must(ctx, s.crmetl, "convert", book, back, "-q"); err != nil {
					return err
				}
				return sameCustomers(list, back, rows)
			}),
			{name: "encoding/json, into maps", args: []string{s.self, "do-decode-any", base + "/customers"}},
		},
		done: stop,
		goals: []goal{faster("crmetl export, CSV", 0.6, alone, 0), faster("crmetl export, XLSX", 0.6, alone, 0),
			below("crmetl export, CSV", 64), below("crmetl export, XLSX", 64)},
	}, nil
}

// sameCustomers holds an exported file against the list: how many there are, in which order, and some of their fields.
func sameCustomers(list, out string, rows int) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	d := json.NewDecoder(bufio.NewReader(f))
	if _, err := d.Token(); err != nil {
		return err
	}
	column := map[string]int{}
	n := -1
	err = eachRecord(out, func(cells []string) error {
		if n++; n == 0 {
			for i, name := range cells {
				column[name] = i
			}
			return nil
		}
		var c customer
		if err := d.Decode(&c); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		for name, want := range map[string]string{"id": c.ID, "company": c.Company, "address": c.Address, "dealAmount": c.DealAmount.String(), "notes": c.Notes,
			"custom9": c.Custom9, "createdAt": strings.Replace(c.CreatedAt.Date, " ", "T", 1) + "Z"} {
			i, ok := column[name]
			if !ok || cells[i] != want {
				return fmt.Errorf("row %d: %s is not %q", n, name, want)
			}
		}
		return nil
	})
	if err == nil && n != rows {
		err = fmt.Errorf("there are %d rows, not %d", n, rows)
	}
	return err
}
