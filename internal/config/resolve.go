package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/schema"
)

// Resolve makes a connection ready for use: its values with variables and secrets filled in, defaults where nothing
// is said, every form checked. name is a connection of the file, or a vendor's own name; that one is configured from
// the environment (CRMETL_<VENDOR>_<KEY>), and from the file too if the file declares a connection of that name: the
// environment wins. Nothing of other connections is touched.
//
// secrets are the values that must never be shown. file may be nil. All problems are reported at once; errors name
// the connection and the key, never a value.
func Resolve(name string, vendors []*schema.Vendor, file *File, getenv func(string) string) (*schema.Vendor, schema.Connection, []string, error) {
	declared, found := file.find(name)
	vendor, own := findVendor(vendors, name)
	if found {
		v, ok := findVendor(vendors, declared.Vendor)
		if !ok {
			return nil, schema.Connection{}, nil, fmt.Errorf("connection %s: unknown vendor %q", name, declared.Vendor)
		}
		vendor = v
	} else if !own {
		return nil, schema.Connection{}, nil, unknown(name, vendors, file)
	}
	r := &resolver{name: name, vendor: vendor, file: file, getenv: getenv, seek: seek}
	conn := schema.Connection{Name: name, Settings: map[string]string{}}
	for _, key := range vendor.AllKeys() {
		value := ""
		if found {
			value = r.fromFile(key, declared)
		}
		if own {
			if text := getenv(envName(vendor, key.Name)); text != "" {
				value = r.fromEnv(key, text)
			}
		}
		if value == "" {
			if key.Required && key.Default == "" && !r.failed(key.Name) {
				r.missing(key, found)
			}
			value = key.Default
		}
		if value != "" {
			r.checkForm(key, value)
			conn.Settings[key.Name] = value
		}
	}
	if err := errors.Join(r.problems...); err != nil {
		return nil, schema.Connection{}, nil, err
	}
	return vendor, conn, r.secrets, nil
}

// unknown is the error for a name that is neither declared nor a vendor.
func unknown(name string, vendors []*schema.Vendor, file *File) error {
	names := vendorNames(vendors)
	where := "crmetl.yaml"
	if file != nil {
		for i := range file.Connections {
			names = append(names, file.Connections[i].Name)
		}
		if file.Path != "" {
			where = file.Path
		}
	}
	return fmt.Errorf("unknown connection %q%s; declare it in %s as \"connections: {%s: {vendor: VENDOR, …}}\", or use one of %s",
		name, didYouMean(name, names), where, name, strings.Join(names, ", "))
}

// resolver works on one connection.
type resolver struct {
	name     string
	vendor   *schema.Vendor
	file     *File
	getenv   func(string) string
	seek     func(reference, *resolver) (string, error)
	secrets  []string
	problems []error
	bad      []string // keys that have a problem already
}

func (r *resolver) problem(key, format string, args ...any) {
	r.bad = append(r.bad, key)
	r.problems = append(r.problems, fmt.Errorf("connection %s: %s: %w", r.name, key, fmt.Errorf(format, args...)))
}

func (r *resolver) failed(key string) bool { return slices.Contains(r.bad, key) }

func (r *resolver) missing(key schema.ConfigKey, declared bool) {
	env := envName(r.vendor, key.Name)
	if declared {
		r.problem(key.Name, "it is required; add \"%s: ${%s}\" to the connection in %s and set that variable, or give the value in another way",
			key.Name, env, r.file.Path)
		return
	}
	r.problem(key.Name, "it is required; set %s, or declare a connection with the key %q in crmetl.yaml", env, key.Name)
}

func envName(v *schema.Vendor, key string) string { return v.EnvName(key) }

// fromFile fills in a value of the config file. "" means that there is none, or a problem.
func (r *resolver) fromFile(key schema.ConfigKey, declared *Connection) string {
	s, ok := declared.settings[key.Name]
	if !ok || s.text == "" {
		return ""
	}
	ref, isRef := referenceOf(s.text)
	if isRef && ref.kind == "cmd" {
		return r.secret(key, ref) // the shell knows variables itself
	}
	text, err := interpolate(s.text, r.getenv)
	if err != nil {
		r.problem(key.Name, "%s: %w", filepath.Base(r.file.Path)+":"+strconv.Itoa(s.line), err)
		return ""
	}
	if isRef {
		// What a variable held is never read as a reference: only what the file says is.
		ref, _ = referenceOf(text)
		return r.secret(key, ref)
	}
	if key.Secret {
		if text == s.text {
			r.warnReadable(r.file.Path, fmt.Sprintf("connection %s: it holds %s in plain text", r.name, key.Name))
		}
		r.hide(text)
	}
	return text
}

// fromEnv takes a value of the environment, which may be a reference.
func (r *resolver) fromEnv(key schema.ConfigKey, text string) string {
	if ref, ok := referenceOf(text); ok {
		return r.secret(key, ref)
	}
	if key.Secret {
		r.hide(text)
	}
	return text
}

// secret follows a reference.
func (r *resolver) secret(key schema.ConfigKey, ref reference) string {
	text, err := r.seek(ref, r)
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		r.problem(key.Name, "secret from %s: %w", ref.what(), err)
		return ""
	}
	if key.Secret || ref.kind != "env" {
		r.hide(text)
	}
	return text
}

func (r *resolver) hide(text string) {
	if !slices.Contains(r.secrets, text) {
		r.secrets = append(r.secrets, text)
	}
}

// warnReadable warns if others on this machine may read a file that holds a secret.
func (r *resolver) warnReadable(path, why string) {
	if runtime.GOOS == "windows" || path == "" {
		return
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o044 != 0 {
		r.file.warn("%s, and others on this machine can read %s (mode %04o); chmod 600 it", why, path, info.Mode().Perm())
	}
}

// checkForm refuses values that can't be what the key asks for.
func (r *resolver) checkForm(key schema.ConfigKey, value string) {
	if strings.ContainsAny(value, "\r\n\x00") {
		r.problem(key.Name, "it must be one line")
		return
	}
	switch {
	case key.Name == "rate":
		if f, err := strconv.ParseFloat(value, 64); err != nil || f <= 0 || math.IsInf(f, 0) || math.IsNaN(f) {
			r.problem(key.Name, "it must be a number above 0: requests a second")
		}
	case key.Name == "timeout":
		if d, err := time.ParseDuration(value); err != nil || d <= 0 {
			r.problem(key.Name, "it must be a duration above 0, such as 30s or 2m")
		}
	case key.Name == "base_url" || strings.HasSuffix(key.Name, "_url"):
		r.checkURL(key, value)
	default:
		if _, err := time.ParseDuration(key.Default); err != nil {
			return
		}
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			r.problem(key.Name, "it must be a duration, such as %s", key.Default)
		}
	}
}

func (r *resolver) checkURL(key schema.ConfigKey, value string) {
	if isShortName(key, value) {
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		r.problem(key.Name, "it must be a URL, such as https://example.com/api")
		return
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		r.problem(key.Name, "plain http would show credentials to the network; use https (http is allowed on loopback only)")
	case u.RawQuery != "" || u.Fragment != "":
		r.problem(key.Name, "it must have no query and no fragment")
	}
	if u.User != nil {
		r.problem(key.Name, "it must hold no user name or password; they have settings of their own")
	}
}

// isShortName reports whether a value is one of the names that the key's own documentation offers in place of a URL,
// such as eu-l3.
func isShortName(key schema.ConfigKey, value string) bool {
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return false
	}
	words := strings.FieldsFunc(key.Doc+" "+key.Default, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	return len(value) > 2 && slices.Contains(words, value)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
