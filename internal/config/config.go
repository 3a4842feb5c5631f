// Package config reads the file that names a user's connections, and resolves one of them into settings that a
// connector understands: with variables and secrets filled in, and every value's form checked. Errors name the
// connection and the key, never a value.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/schema"
)

// File is a config file, read and checked. The zero value is the file of a user who has none.
type File struct {
	Path        string // "" if there is none
	Connections []Connection
	Warn        func(string) // says what is unwise but no error; nil: nobody listens
}

// Connection is one declared connection, its values as they stand in the file.
type Connection struct {
	Name     string
	Vendor   string
	Line     int // 1-based
	settings map[string]setting
}

// setting is one value as it stands in the file, with its place.
type setting struct {
	text string
	line int
}

// Open finds the config file and reads it: the one that flag names, else $CRMETL_CONFIG, else crmetl.yaml in the
// current folder, else crmetl/config.yaml in the user's config folder. Without any of them it returns an empty File;
// a file that is named and missing is an error.
func Open(flag string, getenv func(string) string, vendors []*schema.Vendor) (*File, error) {
	path, err := Find(flag, getenv)
	if err != nil || path == "" {
		return &File{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	return Parse(path, text, vendors)
}

// Find returns the path of the config file, "" if there is none.
func Find(flag string, getenv func(string) string) (string, error) {
	if flag != "" {
		return flag, mustExist(flag, "--config")
	}
	if path := getenv("CRMETL_CONFIG"); path != "" {
		return path, mustExist(path, "$CRMETL_CONFIG")
	}
	candidates := []string{"crmetl.yaml"}
	if dir := userDir(runtime.GOOS, getenv); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "crmetl", "config.yaml"))
	}
	for _, path := range candidates {
		switch _, err := os.Stat(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("config file: %w", err)
		}
	}
	return "", nil
}

func mustExist(path, who string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("config file that %s names: %w", who, err)
	}
	return nil
}

// userDir is the user's config folder as os.UserConfigDir tells it, from the given environment; "" if it has none.
func userDir(goos string, getenv func(string) string) string {
	home := getenv("HOME")
	switch goos {
	case "windows":
		return getenv("AppData")
	case "darwin", "ios":
		if home != "" {
			return filepath.Join(home, "Library", "Application Support")
		}
		return ""
	}
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if home != "" {
		return filepath.Join(home, ".config")
	}
	return ""
}

// Parse checks the text of a config file. path is for messages, and for what is relative to the file. Every problem
// is reported, each with its line and column.
func Parse(path string, text []byte, vendors []*schema.Vendor) (*File, error) {
	f := &File{Path: path}
	tree, err := parser.ParseBytes([]byte(strings.TrimPrefix(string(text), "\ufeff")), 0)
	if err != nil {
		return nil, syntaxError(path, err)
	}
	c := &checker{file: f, vendors: vendors}
	if len(tree.Docs) > 1 && tree.Docs[1].Body != nil {
		c.problem(tree.Docs[1].Body, "a config file is one document: nothing may follow \"---\"")
	}
	if len(tree.Docs) > 0 && tree.Docs[0].Body != nil {
		c.top(tree.Docs[0].Body)
	}
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return f, nil
}

// syntaxError keeps place and message of a YAML error and drops the excerpt, which may show a secret.
func syntaxError(path string, err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		return fmt.Errorf("%s: %s", place(path, located.GetToken()), located.GetMessage())
	}
	return fmt.Errorf("%s: the file is not valid YAML", path)
}

func place(path string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return path
	}
	return fmt.Sprintf("%s:%d:%d", path, t.Position.Line, t.Position.Column)
}

// checker walks over the file's tree and collects problems.
type checker struct {
	file     *File
	vendors  []*schema.Vendor
	problems []error
}

func (c *checker) problem(at ast.Node, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s: %s", place(c.file.Path, at.GetToken()), fmt.Sprintf(format, args...)))
}

// entries returns the pairs of a mapping; what is none is a problem.
func (c *checker) entries(n ast.Node, what string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	case *ast.NullNode, *ast.CommentGroupNode, nil:
		return nil
	}
	c.problem(n, "%s must be a mapping of names to values", what)
	return nil
}

func (c *checker) top(body ast.Node) {
	for _, e := range c.entries(body, "the file") {
		key, ok := c.key(e)
		if !ok {
			continue
		}
		if key != "connections" {
			c.problem(e.Key, "unknown key %q%s", key, didYouMean(key, []string{"connections"}))
			continue
		}
		for _, e := range c.entries(e.Value, "connections") {
			if name, ok := c.key(e); ok {
				c.connection(name, e)
			}
		}
	}
}

// key returns the text of a pair's key.
func (c *checker) key(e *ast.MappingValueNode) (string, bool) {
	if e.Key.IsMergeKey() {
		c.problem(e.Key, "merge keys (<<) are not supported here")
		return "", false
	}
	key, ok := scalar(e.Key)
	if !ok {
		c.problem(e.Key, "a key must be plain text")
	}
	return key, ok
}

func (c *checker) connection(name string, e *ast.MappingValueNode) {
	conn := Connection{Name: name, settings: map[string]setting{}}
	if t := e.Key.GetToken(); t != nil && t.Position != nil {
		conn.Line = t.Position.Line
	}
	if name == "" || strings.ContainsAny(name, "/\\ \t\n") {
		c.problem(e.Key, "connection %q: a name must not be empty, nor hold blanks or slashes", name)
	}
	pairs := c.entries(e.Value, "connection "+name)
	vendor, known := c.vendor(&conn, e, pairs)
	for _, p := range pairs {
		key, ok := c.key(p)
		if !ok || key == "vendor" {
			continue
		}
		if known {
			if names := keyNames(vendor); !slices.Contains(names, key) {
				c.problem(p.Key, "connection %s: %s has no setting %q%s", name, vendor.Name, key, didYouMean(key, append(names, "vendor")))
				continue
			}
		}
		text, ok := scalar(p.Value)
		if !ok {
			c.problem(p.Value, "connection %s: %s must be one plain value", name, key)
			continue
		}
		conn.settings[key] = setting{text, p.Key.GetToken().Position.Line}
	}
	c.file.Connections = append(c.file.Connections, conn)
}

// vendor finds out whose connection it is.
func (c *checker) vendor(conn *Connection, e *ast.MappingValueNode, pairs []*ast.MappingValueNode) (*schema.Vendor, bool) {
	names := vendorNames(c.vendors)
	for _, p := range pairs {
		if key, ok := scalar(p.Key); !ok || key != "vendor" {
			continue
		}
		conn.Vendor, _ = scalar(p.Value)
		v, ok := findVendor(c.vendors, conn.Vendor)
		if !ok {
			c.problem(p.Value, "connection %s: unknown vendor %q%s; vendors are %s", conn.Name, conn.Vendor,
				didYouMean(conn.Vendor, names), strings.Join(names, ", "))
			return nil, false
		}
		if _, taken := findVendor(c.vendors, conn.Name); taken && conn.Name != v.Name {
			c.problem(e.Key, "connection %s: this is the name of a vendor, and the connection is %s's; give it another name", conn.Name, v.Name)
		}
		return v, true
	}
	c.problem(e.Key, "connection %s: it has no vendor; add \"vendor: %s\"", conn.Name, strings.Join(names, "\" or \"vendor: "))
	return nil, false
}

// scalar returns a value as it is written: numbers keep their digits, and nothing at all is "".
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.NullNode, nil:
		return "", true
	}
	return "", false
}

func (f *File) find(name string) (*Connection, bool) {
	if f == nil {
		return nil, false
	}
	for i := range f.Connections {
		if f.Connections[i].Name == name {
			return &f.Connections[i], true
		}
	}
	return nil, false
}

func (f *File) warn(format string, args ...any) {
	if f != nil && f.Warn != nil {
		f.Warn(fmt.Sprintf(format, args...))
	}
}

func findVendor(vendors []*schema.Vendor, name string) (*schema.Vendor, bool) {
	for _, v := range vendors {
		if v.Name == name {
			return v, true
		}
	}
	return nil, false
}

func vendorNames(vendors []*schema.Vendor) []string {
	var names []string
	for _, v := range vendors {
		names = append(names, v.Name)
	}
	return names
}

func keyNames(v *schema.Vendor) []string {
	var names []string
	for _, k := range v.AllKeys() {
		names = append(names, k.Name)
	}
	return names
}

func didYouMean(name string, candidates []string) string {
	if n := near.Name(name, candidates); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// Plain returns a connection's value for a key just as it stands in the file, "" if there is none: what can be known
// without touching a secret.
func (f *File) Plain(connection, key string) string {
	c, ok := f.find(connection)
	if !ok {
		return ""
	}
	return c.settings[key].text
}
