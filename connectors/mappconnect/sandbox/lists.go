package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// ping answers GET ping, with the members of the vendor's own clients.
func (s *Simulator) ping(c *call) error {
	room.WriteJSON(c.w, http.StatusOK, struct {
		Pong          bool   `json:"pong"`
		IntegrationID string `json:"integrationId"`
		Timestamp     int64  `json:"timestamp"` // milliseconds since 1970
	}{true, c.rules.IntegrationID, c.at.UnixMilli()})
	return nil
}

// connection is the answer of connect, as the vendor's shop plugins read it.
type connection struct {
	Customers   string  `json:"customersGroupId"`
	Subscribers string  `json:"subscribersGroupId"`
	Guests      *string `json:"guestsGroupId"`
}

// getConnect answers GET connect. What the vendor answers there was not found; it is what POST answers.
func (s *Simulator) getConnect(c *call) error {
	room.WriteJSON(c.w, http.StatusOK, connection{Customers: "2324333335", Subscribers: "10144"})
	return nil
}

// postConnect answers POST connect, by which shops introduce themselves: {"params":{...}}.
func (s *Simulator) postConnect(c *call) error {
	if err := c.json(); err != nil {
		return err
	}
	var one event
	if one.read(c.body); !one.object {
		return room.Invalid("the body is not a JSON object")
	}
	err := s.Store.Write(c.written(c.body), func(tx *room.Tx) (string, error) {
		tx.Put(kindConnect, strconv.FormatInt(tx.N(), 10), oneLine(c.body))
		return "", nil
	})
	if err != nil {
		return err
	}
	return s.getConnect(c)
}

// thing is a record of what the lists show.
type thing struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// list answers with an object of a kind's names by their ids.
func list(kind string) handler {
	return func(s *Simulator, c *call) error {
		b := []byte{'{'}
		for doc, err := range s.Store.List(kind).All() {
			if err != nil {
				return err
			}
			var one thing
			if err := json.Unmarshal(doc, &one); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			b = appendMember(b, one.ID, appendText(nil, one.Name))
		}
		room.WriteRaw(c.w, http.StatusOK, append(b, '}'))
		return nil
	}
}

// things are what a new account has: the ids of the document's examples. No call of the vendor makes one.
func things() map[string][]thing {
	return map[string][]thing{
		kindGroups:       {{"2324333335", "Customers"}, {"10144", "Newsletter"}, {"8262", "Buyers"}, {"12", "Friends & Family"}},
		kindMessages:     {{"2324333335", "Welcome"}, {"9634", "Order confirmation"}, {"10200", "Sommerschlussverkauf – bis zu 50 %"}},
		kindPushMessages: {{"1234", "Back in stock"}, {"1235", "Cart reminder"}},
		kindSMSMessages:  {{"2324333335", "Appointment reminder"}, {"2324333336", "Your parcel is on its way"}},
		kindApps:         {{"5678", "Shop for iOS"}, {"5679", "Shop for Android"}},
	}
}

// fill makes what a new account has.
func (s *Simulator) fill() error {
	err := s.Store.Fill(func(tx *room.Tx) error {
		for kind, all := range things() {
			for _, one := range all {
				if err := tx.PutJSON(kind, one.ID, one); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Store.FillMany(s.seed, func(tx *room.Tx, n int) error {
		plant(tx, n)
		return nil
	})
}

// plant makes up the nth contact, always the same one.
func plant(tx *room.Tx, n int) {
	doc := fmt.Appendf(nil, `{"email":"contact%d@example.com","mobileNumber":"+49170%07d","first":"First %d","last":"O'Last-%d","group":["10144"]}`, n, n, n, n)
	members, _ := splitObject(nil, doc)
	new(contact).save(tx, doc, identities(members, nil))
}
