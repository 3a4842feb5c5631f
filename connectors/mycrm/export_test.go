package mycrm

import (
	"context"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// NoWaits lets a connection pass over its waits, except those of repeated calls.
func NoWaits(c *Conn) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// Table is deliverytest.Table, with "a;b" for a list where the field is one.
func Table(header string, lines ...string) *record.Batch {
	b := deliverytest.Table(header, lines...)
	o := leadsObject()
	for i := range b.Rows {
		values := b.Rows[i].Values
		for j, v := range values {
			if f, ok := o.Field(b.Header.Name(j)); ok && f.Type == schema.List && v.Kind() == record.Text {
				values[j] = record.ListOf(strings.Split(v.Text(), ";"))
			}
		}
	}
	return b
}
