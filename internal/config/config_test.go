package config

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"

	"github.com/crmetl/crmetl/schema"
)

func vendors() []*schema.Vendor {
	return []*schema.Vendor{
		{Name: "acme", Keys: []schema.ConfigKey{
			{Name: "base_url", Default: "https://acme.example/api"},
			{Name: "username", Required: true},
			{Name: "password", Required: true, Secret: true},
			{Name: "token_activation", Default: "10s"},
		}},
		{Name: "mailer", Keys: []schema.ConfigKey{
			{Name: "base_url", Doc: "a URL, or eu-l3, us-l3", Required: true},
			{Name: "secret", Required: true, Secret: true},
		}},
	}
}

// env is an environment made of "NAME=value".
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if n, v, _ := strings.Cut(p, "="); n == name {
				return v
			}
		}
		return ""
	}
}

func TestParseProblems(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown keys, all at once", "conections: {}\nconnections:\n  a:\n    vendor: acme\n    usrname: x\n  b: {vendor: acmee}\n", []string{
			`crmetl.yaml:1:1: unknown key "conections"; did you mean connections?`,
			`crmetl.yaml:5:5: connection a: acme has no setting "usrname"; did you mean username?`,
			`crmetl.yaml:6:15: connection b: unknown vendor "acmee"; did you mean acme?; vendors are acme, mailer`,
		}},
		{"no vendor", "connections:\n  a: {username: x}\n", []string{`crmetl.yaml:2:3: connection a: it has no vendor; add "vendor: acme" or "vendor: mailer"`}},
		{"not a mapping", "- a\n", []string{`the file must be a mapping`}},
		{"connection is a text", "connections: {a: acme}\n", []string{"connection a must be a mapping", "connection a: it has no vendor"}},
		{"list as a value", "connections: {a: {vendor: acme, password: [x]}}\n", []string{"connection a: password must be one plain value"}},
		{"name with a slash", "connections: {a/b: {vendor: acme}}\n", []string{`connection "a/b": a name must not be empty, nor hold blanks or slashes`}},
		{"another vendor's name", "connections: {mailer: {vendor: acme}}\n", []string{"this is the name of a vendor, and the connection is acme's"}},
		{"twice", "connections:\n  a: {vendor: acme}\n  a: {vendor: acme}\n", []string{"crmetl.yaml:3:3: "}},
		{"second document", "connections: {}\n---\na: b\n", []string{"one document"}},
		{"merge key", "connections:\n  a: &a {vendor: acme}\n  b:\n    <<: *a\n", []string{"merge keys"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("crmetl.yaml", []byte(tt.text), vendors())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant one with %q", err, want)
				}
			}
		})
	}
}

func TestParseHidesValues(t *testing.T) {
	for _, text := range []string{
		"connections:\n  a: {vendor: acme, password: \"hunter2\n", "connections:\n  a:\n    vendor: acme\n    password: hunter2\n   username: x\n",
		"connections:\n  a:\n    vendor: acme\n    password: hunter2: hunter2\n", "password: hunter2\n\t- x", "connections: {a: {vendor: acme, password: {hunter2: 1}}}",
		"connections:\n  a: {vendor: acme, password: \"\\q hunter2\"}\n", "connections:\n  a: {vendor: acme, password: *hunter2}\n",
	} {
		_, err := Parse("crmetl.yaml", []byte(text), vendors())
		if err == nil {
			t.Errorf("%q: no error", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the value: %v", text, err)
		}
	}
}

func TestParseKeepsText(t *testing.T) {
	f, err := Parse("c.yaml", []byte("\ufeffconnections:\n  a:\n    vendor: acme\n    username: 007\n    password: 1_000\n    rate: 2.50\n    timeout: 90s\n    base_url:\n"), vendors())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, s := range f.Connections[0].settings {
		got[k] = s.text
	}
	want := map[string]string{"username": "007", "password": "1_000", "rate": "2.50", "timeout": "90s", "base_url": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "# nothing\n", "connections:\n", "---\n"} {
		if f, err := Parse("c.yaml", []byte(text), vendors()); err != nil || len(f.Connections) != 0 {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if got, err := Find("", env("HOME="+dir)); got != "" || err != nil {
		t.Errorf("without any file: %q, %v", got, err)
	}
	for _, name := range []string{"none.yaml", filepath.Join(dir, "none.yaml")} {
		if _, err := Find(name, env()); err == nil || !strings.Contains(err.Error(), "--config") {
			t.Errorf("--config %s: error = %v", name, err)
		}
		if _, err := Find("", env("CRMETL_CONFIG="+name)); err == nil || !strings.Contains(err.Error(), "CRMETL_CONFIG") {
			t.Errorf("CRMETL_CONFIG=%s: error = %v", name, err)
		}
	}
	user := filepath.Join(userDir(runtime.GOOS, env("HOME="+dir, "AppData="+dir)), "crmetl", "config.yaml")
	for _, step := range []struct {
		flag, file, want string
		env              []string
	}{
		{"", user, user, nil},
		{"", filepath.Join(dir, "crmetl.yaml"), "crmetl.yaml", nil},
		{"", filepath.Join(dir, "env.yaml"), filepath.Join(dir, "env.yaml"), []string{"CRMETL_CONFIG=" + filepath.Join(dir, "env.yaml")}},
		{filepath.Join(dir, "flag.yaml"), filepath.Join(dir, "flag.yaml"), filepath.Join(dir, "flag.yaml"), []string{"CRMETL_CONFIG=none"}},
	} {
		write(t, step.file, "connections: {}\n", 0o600)
		got, err := Find(step.flag, env(append(step.env, "HOME="+dir, "AppData="+dir)...))
		if err != nil || got != step.want {
			t.Errorf("found %q, %v; want %q", got, err, step.want)
		}
	}
}

func TestUserDir(t *testing.T) {
	tests := []struct {
		goos, want string
		env        []string
	}{
		{"linux", "/x", []string{"XDG_CONFIG_HOME=/x", "HOME=/h"}},
		{"linux", "/h/.config", []string{"XDG_CONFIG_HOME=relative", "HOME=/h"}},
		{"linux", "", nil},
		{"darwin", "/h/Library/Application Support", []string{"HOME=/h"}},
		{"darwin", "", nil},
		{"windows", `C:\a`, []string{`AppData=C:\a`}},
	}
	for _, tt := range tests {
		if runtime.GOOS == "windows" && tt.goos != "windows" {
			continue // paths of another system
		}
		if got := userDir(tt.goos, env(tt.env...)); got != tt.want {
			t.Errorf("userDir(%s, %v) = %q, want %q", tt.goos, tt.env, got, tt.want)
		}
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	keyring.MockInit()
	if err := keyring.Set("crm", "ops/emea", "from-keyring"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pw"), "from-file\r\n", 0o600)
	good := []string{"CRMETL_ACME_USERNAME=ops", "CRMETL_ACME_PASSWORD=pw"}
	defaults := func(more ...string) map[string]string {
		m := map[string]string{"base_url": "https://acme.example/api", "username": "ops", "token_activation": "10s", "timeout": "30s"}
		for _, p := range more {
			k, v, _ := strings.Cut(p, "=")
			m[k] = v
		}
		return m
	}
	tests := []struct {
		name, conn, file string
		env              []string
		want             map[string]string
		secrets          []string
		errs             []string
	}{
		{"vendor from the environment", "acme", "", good, defaults("password=pw"), []string{"pw"}, nil},
		{"every setting", "acme", "", append([]string{"CRMETL_ACME_RATE=0.5", "CRMETL_ACME_TIMEOUT=2m", "CRMETL_ACME_BASE_URL=http://127.0.0.1:8/x", "CRMETL_ACME_TOKEN_ACTIVATION=0s"}, good...),
			defaults("password=pw", "rate=0.5", "timeout=2m", "base_url=http://127.0.0.1:8/x", "token_activation=0s"), []string{"pw"}, nil},
		{"nothing set", "acme", "", nil, nil, nil, []string{
			`connection acme: username: it is required; set CRMETL_ACME_USERNAME, or declare a connection with the key "username" in crmetl.yaml`,
			"CRMETL_ACME_PASSWORD"}},
		{"declared", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"p${A}-${B}\"}}", []string{"A=1", "B=${A}", "CRMETL_ACME_PASSWORD=wrong"},
			defaults("password=p1-${A}"), []string{"p1-${A}"}, nil},
		{"declared, nothing given", "emea", "connections: {emea: {vendor: acme, username: ops}}", good, nil, nil,
			[]string{"connection emea: password: it is required; add \"password: ${CRMETL_ACME_PASSWORD}\" to the connection in " + filepath.Join(dir, "crmetl.yaml")}},
		{"dollar signs", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"a$b$${X}$\"}}", nil, defaults("password=a$b${X}$"), []string{"a$b${X}$"}, nil},
		{"variable not set", "emea", "connections:\n  emea: {vendor: acme, username: ops, password: \"${NOPE}\"}", nil, nil, nil,
			[]string{"connection emea: password: crmetl.yaml:2: the environment variable NOPE is not set, or empty"}},
		{"broken variable", "emea", "connections: {emea: {vendor: acme, username: \"${A\", password: \"${a b}\"}}", nil, nil, nil,
			[]string{"username: crmetl.yaml:1: a \"${\" has no \"}\"", "password: crmetl.yaml:1: between"}},
		{"env", "emea", "connections: {emea: {vendor: acme, username: \"env:U\", password: \"env:P\"}}", []string{"U=ops", "P=secret"}, defaults("password=secret"), []string{"secret"}, nil},
		{"file beside the config", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"file:pw\"}}", nil, defaults("password=from-file"), []string{"from-file"}, nil},
		{"file with a variable", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"file:${D}/pw\"}}", []string{"D=" + dir}, defaults("password=from-file"), []string{"from-file"}, nil},
		{"file at home", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"file:~/pw\"}}", []string{"HOME=" + dir}, defaults("password=from-file"), []string{"from-file"}, nil},
		{"no such file", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"file:nope\"}}", nil, nil, nil,
			[]string{"connection emea: password: secret from the file nope: "}},
		{"keyring", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"keyring:crm/ops/emea\"}}", nil, defaults("password=from-keyring"), []string{"from-keyring"}, nil},
		{"keyring without it", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"keyring:crm/x\"}}", nil, nil, nil, []string{"the keyring entry crm/x"}},
		{"keyring form", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"keyring:crm\"}}", nil, nil, nil, []string{"keyring:SERVICE/USER"}},
		{"command", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"cmd:echo one && echo two\"}}", nil, defaults("password=one"), []string{"one"}, nil},
		{"command fails", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"cmd:echo hunter2 && exit 3\"}}", nil, nil, nil, []string{"secret from the command: exit status 3"}},
		{"command says nothing", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"cmd:exit 0\"}}", nil, nil, nil, []string{"it is empty"}},
		{"reference in the environment", "acme", "", []string{"CRMETL_ACME_USERNAME=ops", "CRMETL_ACME_PASSWORD=file:" + filepath.Join(dir, "pw")}, defaults("password=from-file"), []string{"from-file"}, nil},
		{"a variable's text is no reference", "emea", "connections: {emea: {vendor: acme, username: ops, password: \"${P}\"}}", []string{"P=cmd:echo x"}, defaults("password=cmd:echo x"), []string{"cmd:echo x"}, nil},
		{"the environment's text has no variables", "acme", "", []string{"CRMETL_ACME_USERNAME=ops", "CRMETL_ACME_PASSWORD=${X}"}, defaults("password=${X}"), []string{"${X}"}, nil},
		{"declared under the vendor's name", "acme", "connections: {acme: {vendor: acme, username: ops, password: x}}", []string{"CRMETL_ACME_PASSWORD=pw"}, defaults("password=pw"), []string{"x", "pw"}, nil},
		{"others are left alone", "emea", "connections: {emea: {vendor: acme, username: ops, password: x}, b: {vendor: acme, password: \"cmd:exit 1\"}}", nil, defaults("password=x"), []string{"x"}, nil},
		{"short name of a base URL", "m", "connections: {m: {vendor: mailer, base_url: eu-l3, secret: x}}", nil,
			map[string]string{"base_url": "eu-l3", "secret": "x", "timeout": "30s"}, []string{"x"}, nil},
		{"unknown short name", "m", "connections: {m: {vendor: mailer, base_url: eu-l9, secret: x}}", nil, nil, nil, []string{"connection m: base_url: it must be a URL"}},
		{"unknown", "emae", "connections: {emea: {vendor: acme}}", nil, nil, nil,
			[]string{`unknown connection "emae"; did you mean emea?; declare it in ` + filepath.Join(dir, "crmetl.yaml") + ` as "connections: {emae: {vendor: VENDOR, …}}", or use one of acme, mailer, emea`}},
		{"wrong forms", "acme", "", append([]string{"CRMETL_ACME_RATE=fast", "CRMETL_ACME_TIMEOUT=30", "CRMETL_ACME_BASE_URL=example.com", "CRMETL_ACME_TOKEN_ACTIVATION=soon"}, good...), nil, nil, []string{
			"acme: rate: it must be a number above 0", "acme: timeout: it must be a duration above 0, such as 30s or 2m",
			"acme: base_url: it must be a URL", "acme: token_activation: it must be a duration, such as 10s"}},
		{"rate zero", "acme", "", append([]string{"CRMETL_ACME_RATE=0", "CRMETL_ACME_TIMEOUT=-1s"}, good...), nil, nil, []string{"rate", "timeout"}},
		{"rate not finite", "acme", "", append([]string{"CRMETL_ACME_RATE=NaN"}, good...), nil, nil, []string{"rate"}},
		{"plain http", "acme", "", append([]string{"CRMETL_ACME_BASE_URL=http://example.com"}, good...), nil, nil, []string{"plain http"}},
		{"http to a name that only looks like loopback", "acme", "", append([]string{"CRMETL_ACME_BASE_URL=http://127.0.0.1.example.com"}, good...), nil, nil, []string{"plain http"}},
		{"password in the URL", "acme", "", append([]string{"CRMETL_ACME_BASE_URL=https://a:hunter2@example.com"}, good...), nil, nil, []string{"no user name or password"}},
		{"two lines", "acme", "", []string{"CRMETL_ACME_USERNAME=ops", "CRMETL_ACME_PASSWORD=a\nb"}, nil, nil, []string{"password: it must be one line"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := &File{}
			if tt.file != "" {
				var err error
				if file, err = Parse(filepath.Join(dir, "crmetl.yaml"), []byte(tt.file), vendors()); err != nil {
					t.Fatal(err)
				}
			}
			v, conn, secrets, err := Resolve(tt.conn, vendors(), file, env(tt.env...))
			if tt.errs != nil {
				if err == nil {
					t.Fatalf("no error; settings %v", conn.Settings)
				}
				for _, want := range tt.errs {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error = %v\nwant one with %q", err, want)
					}
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows the value: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v == nil || conn.Name != tt.conn {
				t.Errorf("vendor %v, connection %q", v, conn.Name)
			}
			if diff := cmp.Diff(tt.want, conn.Settings); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.secrets, secrets); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveWithoutFile(t *testing.T) {
	if _, conn, _, err := Resolve("acme", vendors(), nil, env("CRMETL_ACME_USERNAME=a", "CRMETL_ACME_PASSWORD=b")); err != nil || conn.Settings["username"] != "a" {
		t.Errorf("%v, %v", conn, err)
	}
	if _, _, _, err := Resolve("acmee", vendors(), nil, env()); err == nil || !strings.Contains(err.Error(), "did you mean acme?") {
		t.Errorf("error = %v", err)
	}
}

func TestWarnings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "crmetl.yaml")
	write(t, filepath.Join(dir, "open"), "x", 0o644)
	write(t, filepath.Join(dir, "closed"), "x", 0o600)
	tests := []struct {
		password string
		mode     os.FileMode
		want     string
	}{
		{"plain", 0o640, "it holds password in plain text, and others on this machine can read " + path + " (mode 0640)"},
		{"plain", 0o600, ""},
		{"${PW}", 0o644, ""},
		{"file:open", 0o644, "it holds a secret, and others on this machine can read " + filepath.Join(dir, "open") + " (mode 0644)"},
		{"file:closed", 0o644, ""},
	}
	for _, tt := range tests {
		write(t, path, fmt.Sprintf("connections: {a: {vendor: acme, username: u, password: %q}}\n", tt.password), tt.mode)
		f, err := Open(path, env(), vendors())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		f.Warn = func(s string) { got = append(got, s) }
		if _, _, _, err := Resolve("a", vendors(), f, env("PW=x")); err != nil {
			t.Fatal(err)
		}
		if tt.want == "" && got != nil || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("password %s, mode %o: warnings %q, want %q", tt.password, tt.mode, got, tt.want)
		}
	}
}

func TestCommandEnds(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip("this machine has no sleep command")
	}
	begin := time.Now()
	_, err := firstLineOf("sleep 30 & sleep 30", 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not end within 50ms") {
		t.Errorf("error = %v", err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("the command was waited for %s", d)
	}
}

func TestCommandThatSaysMuch(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is for sh")
	}
	got, err := firstLineOf("echo first; head -c 200000 /dev/zero", 10*time.Second)
	if err != nil || got != "first" {
		t.Errorf("%.40q, %v", got, err)
	}
}

// FuzzParse: no file breaks the parser, and a value in it can be written so that it stands for itself.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"connections:\n  a: {vendor: acme, password: \"${X}\"}\n", "connections: {a: {vendor: acme, password: 'cmd:x'}}", "- a", "a: &x [*x]", "? {a: b}\n: c", "connections:\n  ? a\n", "\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("c.yaml", []byte(text), vendors())
		if err != nil {
			return
		}
		for i := range file.Connections {
			for _, s := range file.Connections[i].settings {
				got, err := interpolate(s.text, env("X=y"))
				if !strings.Contains(s.text, "${") && (err != nil || got != s.text) {
					t.Errorf("%q, which names no variable, became %q, %v", s.text, got, err)
				}
				if got, err := interpolate(strings.ReplaceAll(s.text, "${", "$${"), env()); err != nil || got != s.text {
					t.Errorf("%q as it stands became %q, %v", s.text, got, err)
				}
			}
		}
	})
}
