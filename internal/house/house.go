// Package house provides nothing but a test: it states who may import whom in this project, and the few other rules
// that every package keeps. docs and ARCHITECTURE.md explain them; this is where they are enforced.
package house
