package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/config"
	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/schema"
)

// target is CONNECTION/OBJECT, found.
type target struct {
	name   string // as the user wrote it
	vendor *schema.Vendor
	object *schema.Object
	conn   schema.Connection
	via    connectors.Connector
}

// vendors lists all vendors' tables.
func vendors() []*schema.Vendor {
	var all []*schema.Vendor
	for _, c := range connectors.All() {
		all = append(all, c.Schema)
	}
	return all
}

// parseTarget splits CONNECTION/OBJECT and finds the vendor behind it. It reads no secrets.
func (a *app) parseTarget(s string) (*target, error) {
	name, object, ok := strings.Cut(s, "/")
	if !ok || name == "" || object == "" {
		return nil, hinted(exitUsage, fmt.Errorf("target %q: a target is CONNECTION/OBJECT, as in mapmycustomers/customers", s), "crmetl describe lists vendors and objects")
	}
	v, err := a.vendorOf(name)
	if err != nil {
		return nil, err
	}
	o, ok := v.Object(object)
	if !ok {
		names := objectNames(v)
		hint := "crmetl describe " + v.Name + " shows what it has"
		if n := near.Name(object, names); n != "" {
			hint = fmt.Sprintf("did you mean %s/%s?", name, n)
		}
		return nil, hinted(exitUsage, fmt.Errorf("target %q: %s has no object %q; it has %s", s, v.Title, object, strings.Join(names, ", ")), hint)
	}
	c, _ := connectors.Lookup(v.Name)
	return &target{name: s, vendor: v, object: o, via: c}, nil
}

func objectNames(v *schema.Vendor) []string {
	var names []string
	for _, o := range v.Objects {
		names = append(names, o.Name)
	}
	return names
}

// vendorOf finds the vendor of a connection by name alone.
func (a *app) vendorOf(connection string) (*schema.Vendor, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range file.Connections {
		if c.Name == connection {
			if v, ok := connectors.Lookup(c.Vendor); ok {
				return v.Schema, nil
			}
		}
		names = append(names, c.Name)
	}
	if c, ok := connectors.Lookup(connection); ok {
		return c.Schema, nil
	}
	for _, v := range vendors() {
		names = append(names, v.Name)
	}
	hint := fmt.Sprintf("the connections are %s; more are declared in crmetl.yaml", strings.Join(names, ", "))
	if n := near.Name(connection, names); n != "" {
		hint = fmt.Sprintf("did you mean %q? %s", n, hint)
	}
	return nil, hinted(exitUsage, fmt.Errorf("there is no connection %q", connection), hint)
}

func (a *app) configFile() (*config.File, error) {
	file, err := config.Open(a.config, a.getenv, vendors())
	if err != nil {
		return nil, usage(err)
	}
	file.Warn = func(s string) { a.warn("%s", s) }
	return file, nil
}

// session is what a command needs to talk to vendors: the surroundings, and the simulators if it runs against them.
type session struct {
	*app
	env      api.Env
	stateDir string
	server   *sandbox.Server
	sims     map[string]sandbox.Simulator
}

// open prepares the surroundings. With --sandbox it starts the simulators, whose folder also keeps rates and tokens, so
// that a try-out leaves the real accounts' alone.
func (a *app) open(ctx context.Context) (*session, error) {
	log, err := a.log()
	if err != nil {
		return nil, err
	}
	s := &session{app: a}
	state, cache := a.stateHome(), a.cacheHome()
	if a.sandbox != "" {
		state, cache = filepath.Join(a.sandbox, "state"), ""
		if err := s.startSandbox(ctx); err != nil {
			return nil, err
		}
	}
	s.stateDir = state
	s.env = api.Env{StateDir: state, CacheDir: cache, Log: log, Stop: a.stop, UserAgent: "crmetl/" + versionInfo().Version}
	return s, nil
}

func (s *session) close() {
	if s.server != nil {
		_ = s.server.Close()
	}
	for _, sim := range s.sims {
		if err := sim.Close(); err != nil {
			s.warn("sandbox: %v", err)
		}
	}
}

func (s *session) startSandbox(ctx context.Context) error {
	sims, err := s.simulators(s.sandbox, 0)
	if err != nil {
		return err
	}
	s.sims = sims
	s.server, err = sandbox.Serve(ctx, "127.0.0.1:0", sims)
	return err
}

// simulators makes one simulator a vendor. CRMETL_SANDBOX_FAULTS asks for failures, in the language of
// `crmetl sandbox --faults`.
func (a *app) simulators(dir string, seed int) (map[string]sandbox.Simulator, error) {
	text := a.getenv("CRMETL_SANDBOX_FAULTS")
	if rate := a.getenv("CRMETL_SANDBOX_RATE"); rate != "" {
		text += "\nset rate=" + rate
	}
	sims, all := map[string]sandbox.Simulator{}, connectors.All()
	strangers := map[sandbox.Knob]int{} // settings by the simulators that do not have them
	fail := func(err error) (map[string]sandbox.Simulator, error) {
		for _, started := range sims {
			_ = started.Close()
		}
		return nil, usage(fmt.Errorf("sandbox: %w", err))
	}
	for _, c := range all {
		// Each has its own counters: "the third POST" is the third of one vendor.
		faults, err := sandbox.ParseFaults(text)
		if err != nil {
			return nil, usage(fmt.Errorf("CRMETL_SANDBOX_FAULTS: %w", err))
		}
		sim, err := c.Sandbox(sandbox.Options{Dir: filepath.Join(dir, c.Schema.Name), Faults: faults, Seed: seed})
		for unknown := (*sandbox.UnknownKnobError)(nil); errors.As(err, &unknown) && unknown.Knob.Vendor == ""; {
			// A setting without a vendor is for those that have it.
			if strangers[unknown.Knob]++; strangers[unknown.Knob] == len(all) {
				break
			}
			faults = faults.Without(unknown.Knob)
			sim, err = c.Sandbox(sandbox.Options{Dir: filepath.Join(dir, c.Schema.Name), Faults: faults, Seed: seed})
		}
		if err != nil {
			return fail(err)
		}
		sims[c.Schema.Name] = sim
	}
	return sims, nil
}

// connect opens the target's connection, at most at the given rate (0: the connection's own).
func (s *session) connect(t *target, rate float64) (connectors.Conn, error) {
	name, _, _ := strings.Cut(t.name, "/")
	if s.server != nil {
		t.conn = schema.Connection{Name: name, Settings: s.sims[t.vendor.Name].Settings(s.server.URL(t.vendor.Name))}
		if err := s.own(t); err != nil {
			return nil, err
		}
		if rate := s.getenv("CRMETL_SANDBOX_RATE"); rate != "" {
			t.conn.Settings["rate"] = rate
		}
	} else {
		file, err := s.configFile()
		if err != nil {
			return nil, err
		}
		_, conn, _, err := config.Resolve(name, vendors(), file, s.getenv)
		if err != nil {
			return nil, hinted(exitUsage, err, "to try without an account, add --sandbox")
		}
		t.conn = conn
	}
	if own := connRate(t); rate > 0 && (own == 0 || rate < own) {
		t.conn.Settings["rate"] = strconv.FormatFloat(rate, 'g', -1, 64)
	}
	conn, err := t.via.Open(t.conn, s.env)
	if err != nil {
		return nil, usage(err)
	}
	return conn, nil
}

// own adds what the user has set for the connection and a simulator leaves open, such as a profile; never a secret, nor
// where the real vendor is.
func (s *session) own(t *target) error {
	set, err := s.plainSettings(t)
	for k, value := range set {
		if _, given := t.conn.Settings[k]; !given && k != "rate" && k != "timeout" && !strings.HasSuffix(k, "_url") {
			t.conn.Settings[k] = value
		}
	}
	return err
}

// plainSettings returns the settings of the target's connection that are no secrets, from the environment, the config file
// and the vendor's defaults. It touches no secret.
func (a *app) plainSettings(t *target) (map[string]string, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(t.name, "/")
	set := map[string]string{}
	for _, k := range t.vendor.AllKeys() {
		if k.Secret {
			continue
		}
		value := file.Plain(name, k.Name)
		if env := a.getenv(t.vendor.EnvName(k.Name)); name == t.vendor.Name && env != "" {
			value = env
		}
		if value == "" {
			value = k.Default
		}
		if value != "" {
			set[k.Name] = value
		}
	}
	return set, nil
}

// connRate is how many requests a second the connection allows; 0 means that there is no limit.
func connRate(t *target) float64 {
	if rate, err := strconv.ParseFloat(t.conn.Settings["rate"], 64); err == nil {
		return rate
	}
	return t.vendor.Rate
}

// account names whom a run writes to. A simulator's port changes from call to call, its records do not.
func (s *session) account(conn connectors.Conn) string {
	if s.server == nil {
		return conn.Account()
	}
	return strings.Replace(conn.Account(), s.server.Addr(), "sandbox "+absolute(s.sandbox), 1)
}

// ready is what a connection may offer to prove its credentials before the first row.
type ready interface {
	Ready(ctx context.Context) error
}

// preparer is what a connection may offer to check an import against what only the account can tell, such as its
// custom fields.
type preparer interface {
	Prepare(ctx context.Context, object string, load schema.Load) error
}

// prove gets the connection's credentials and checks the import against the account. What is wrong is found before the
// first row; a vendor that is merely down leaves a run that can be resumed.
func (s *session) prove(ctx context.Context, conn connectors.Conn, t *target, load schema.Load) error {
	var err error
	if r, ok := conn.(ready); ok {
		err = r.Ready(ctx)
	}
	if p, ok := conn.(preparer); ok && err == nil {
		err = p.Prepare(ctx, t.object.Name, load)
		var call *api.Error
		if err != nil && !errors.As(err, &call) && ctx.Err() == nil && !errors.Is(err, api.ErrStopped) {
			return usage(err)
		}
	}
	var e *api.Error
	if err == nil || errors.As(err, &e) && e.Stops() && (e.Class == api.Transient || e.Class == api.Limited) && !unknownHost(err) {
		return err
	}
	return s.connectError(err, t)
}

func unknownHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// connectError adds what the user can do about a failed connection, and its exit code.
func (s *session) connectError(err error, t *target) error {
	var e *api.Error
	var dns *net.DNSError
	name, _, _ := strings.Cut(t.name, "/")
	env := "CRMETL_" + strings.ToUpper(t.vendor.Name) + "_"
	where := fmt.Sprintf("check %sBASE_URL", env)
	if name != t.vendor.Name {
		where = fmt.Sprintf("check base_url of connection %q", name)
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return hinted(exitUsage, fmt.Errorf("%s: there is no host %q", t.vendor.Title, dns.Name), where)
	case !errors.As(err, &e):
		return err
	case e.Class == api.Auth || e.Class == api.Permission:
		hint := fmt.Sprintf("check them with: crmetl ping %s", name)
		if t.object == nil { // that is what this is
			hint = fmt.Sprintf("they come from %s…, or from the connection in the config file", env)
		}
		return hinted(exitUsage, fmt.Errorf("%s refused the credentials: %w", t.vendor.Title, err), hint)
	case e.Class == api.Setup || e.Class == api.Blocked:
		return hinted(exitUsage, fmt.Errorf("%s: %w", t.vendor.Title, err), where)
	}
	if e.Class == api.Transient || e.Class == api.Limited {
		return hinted(exitFailed, fmt.Errorf("%s can't be reached: %w", t.vendor.Title, err), where)
	}
	return err
}

// stateHome is where processes on this machine share rates and locks.
func (a *app) stateHome() string {
	if d := a.getenv("CRMETL_STATE_DIR"); d != "" {
		return d
	}
	if d := a.getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "crmetl")
	}
	if runtime.GOOS == "windows" {
		if d := a.getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "crmetl", "state")
		}
	}
	if home := a.getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "crmetl")
	}
	// Without a home, as under some schedulers, processes of one user still meet here.
	return filepath.Join(os.TempDir(), fmt.Sprintf("crmetl-%d", os.Getuid()))
}

// cacheHome is where tokens are kept between runs.
func (a *app) cacheHome() string {
	if d := a.getenv("CRMETL_CACHE_DIR"); d != "" {
		return d
	}
	if d := a.getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "crmetl")
	}
	if runtime.GOOS == "windows" {
		if d := a.getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "crmetl", "cache")
		}
	}
	if home := a.getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "crmetl")
	}
	return ""
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
