// Package connectors is the shelf of vendors: a table, and a lookup by name. Each vendor has a folder of its own, with
// its schema, its client and its simulator.
package connectors
