package mappings

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/crmetl/crmetl/internal/near"
)

//go:embed */*.yaml
var shipped embed.FS

//go:embed mapping.schema.json
var schemaText string

// Shipped returns the mappings that come with the tool, as VENDOR/NAME.yaml.
func Shipped() fs.FS { return shipped }

// JSONSchema returns the JSON Schema of mapping files, for editors.
func JSONSchema() []byte { return []byte(schemaText) }

// Info describes a shipped mapping.
type Info struct {
	Name   string `json:"name"` // as Load takes it: mapmycustomers/customers
	Target string `json:"target"`
	Mode   string `json:"mode"`
	Doc    string `json:"doc"` // the first line of the file's comment
}

// List returns the shipped mappings, by name.
func List() []Info {
	var out []Info
	for _, name := range shippedNames() {
		data, err := shipped.ReadFile(name + ".yaml")
		if err != nil {
			continue // the names come from the same files
		}
		m, err := Parse(name, data)
		if err != nil {
			continue // a test keeps them good
		}
		first, _, _ := strings.Cut(string(data), "\n")
		out = append(out, Info{Name: name, Target: m.Target, Mode: string(m.Mode), Doc: strings.TrimSpace(strings.TrimPrefix(first, "#"))})
	}
	return out
}

func shippedNames() []string {
	files, err := fs.Glob(shipped, "*/*.yaml")
	if err != nil {
		return nil // only a malformed pattern does that
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	return files
}

// Load reads a mapping by its path or by the name of a shipped one, and returns it with its text. A file goes before a
// shipped mapping of the same name. A wrong mapping gives a Problems; if it could be read at all it is returned as well,
// and Compile reports its problems together with those that only show against a file.
func Load(nameOrPath string) (*Mapping, []byte, error) {
	data, err := readFile(nameOrPath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errFolder) {
		if text, inErr := shipped.ReadFile(strings.TrimSuffix(nameOrPath, ".yaml") + ".yaml"); inErr == nil {
			data, err = text, nil
		} else if n := near.Name(nameOrPath, shippedNames()); n != "" {
			err = fmt.Errorf("there is no file %s, and no mapping of that name ships with crmetl; did you mean %s?", nameOrPath, n)
		} else if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no file %s, and no mapping of that name ships with crmetl (`crmetl mapping list` shows those that do)", nameOrPath)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("mapping: %w", err)
	}
	m, err := Parse(nameOrPath, data)
	if err != nil {
		return m, data, err
	}
	return m, data, nil
}

var errFolder = errors.New("it is a folder")

// readFile reads a file up to the limit and one byte more, which Parse then refuses.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s: %w", path, errFolder)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes; a mapping has %d at most", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}
