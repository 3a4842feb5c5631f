package mycrm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

// post sends a new lead. An answer of 2xx that does not say which lead was made proves nothing: it may come from a proxy,
// or from a vendor that has put the lead off. Its outcome is unknown, as if it had been lost.
func (s *sink) post(ctx context.Context, body []byte, row *record.Row) (delivery.Result, error) {
	res, err := s.call(ctx, http.MethodPost, "/leads", body, false, row)
	switch {
	case err != nil:
		return res, err
	case res.Verdict == delivery.Taken && identifier(res.Body) == "":
		res.Verdict = delivery.Unknown
		res.Err = &api.Error{Op: "POST /leads", Class: api.Protocol, Status: res.Status, Applied: true, Message: "the answer holds no lead: " + shown(res.Body)}
	}
	return res, nil
}

// reachable makes sure, when a run sees its first 404, that it is a lead that is missing and not the API: each row would be
// refused for a wrong base_url, or taken for deleted. Other trouble shows by itself.
func (s *sink) reachable(ctx context.Context) error {
	s.reach.Lock()
	defer s.reach.Unlock()
	if s.reached {
		return nil
	}
	_, err := s.conn.page(ctx, listing{perPage: 1}, 1)
	if isSetup(err) {
		return err
	}
	s.reached = err == nil
	return nil
}

func shown(body []byte) string {
	if text := delivery.Excerpt(body); text != "" {
		return text
	}
	return "it is empty"
}

// identifier is the id of a new lead in the answer to its creation, "" if it holds none.
func identifier(body []byte) string {
	raw, err := bare(body)
	if err != nil {
		return ""
	}
	var x struct {
		ID value `json:"id"`
	}
	if json.Unmarshal(raw, &x) != nil || !goodID(x.ID.Text()) {
		return ""
	}
	return x.ID.Text()
}

// refusal is what an answer of 2xx says if it is none to a success: an object without a lead whose status is an error.
// Those with success, error or errors were looked for by the api already.
func refusal(body []byte) string {
	var o struct {
		Status  value           `json:"status"`
		Message value           `json:"message"`
		Detail  value           `json:"detail"`
		Lead    json.RawMessage `json:"lead"`
		ID      json.RawMessage `json:"id"`
	}
	if json.Unmarshal(body, &o) != nil || o.Lead != nil || o.ID != nil {
		return ""
	}
	switch strings.ToLower(o.Status.Text()) {
	case "error", "fail", "failed", "failure":
	default:
		return ""
	}
	if text := or(o.Message, o.Detail).Text(); text != "" {
		return delivery.Excerpt([]byte(text))
	}
	return delivery.Excerpt(body)
}

// isSetup reports whether an error says that the connection's settings are wrong.
func isSetup(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && known.Class == api.Setup
}
