package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/schema"
)

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "describe [VENDOR[/OBJECT]]",
		Short:   "Show fields, required fields, rules, limits and modes",
		Example: "  crmetl describe\n  crmetl describe mapmycustomers/customers\n  crmetl describe mapmycustomers/customers --json",
		Args:    atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.describeAll()
			}
			name, object, _ := strings.Cut(args[0], "/")
			v, err := a.vendorOf(name)
			if err != nil {
				return err
			}
			if object != "" {
				t, err := a.parseTarget(args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(t.object)
				}
			} else if a.json {
				return a.printJSON(v)
			}
			return schema.Describe(a.stdout, v, object)
		},
	}
}

func (a *app) describeAll() error {
	if a.json {
		return a.printJSON(vendors())
	}
	for _, v := range vendors() {
		fmt.Fprintf(a.stdout, "%s: %s\n", v.Name, v.Title)
		for _, o := range v.Objects {
			fmt.Fprintf(a.stdout, "  %-34s %s\n", v.Name+"/"+o.Name, abilities(&o))
		}
	}
	_, err := fmt.Fprintln(a.stdout, "\ncrmetl describe VENDOR/OBJECT shows the fields")
	return err
}

// abilities says in a few words what can be done with an object.
func abilities(o *schema.Object) string {
	var parts []string
	if len(o.Modes) > 0 {
		var modes []string
		for _, m := range o.Modes {
			modes = append(modes, string(m))
		}
		parts = append(parts, "import: "+strings.Join(modes, ", "))
	}
	if o.Export.Any() {
		parts = append(parts, "export")
	}
	return strings.Join(parts, " · ")
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

func (a *app) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ping CONNECTION",
		Short:   "Try a connection's credentials",
		Example: "  crmetl ping mapmycustomers\n  crmetl ping mapmycustomers --sandbox",
		Args:    exactly("CONNECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, _, _ := strings.Cut(args[0], "/")
			v, err := a.vendorOf(name)
			if err != nil {
				return err
			}
			c, _ := connectors.Lookup(v.Name)
			s, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			s.env.Attempts = 2 // whoever asks wants to know now
			t := &target{name: name + "/", vendor: v, via: c}
			conn, err := s.connect(t, 0)
			if err != nil {
				return err
			}
			who, err := conn.Ping(cmd.Context())
			if err != nil {
				return s.connectError(err, t)
			}
			if a.json {
				return a.printJSON(map[string]any{"connection": name, "vendor": v.Name, "account": who, "ok": true})
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %s\n", v.Title, who)
			return err
		},
	}
}

func (a *app) sandboxCommand() *cobra.Command {
	var addr, faults, dir string
	var seed int
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve all vendors' simulators on this machine",
		Long: `Serve all vendors' simulators on this machine, until interrupted. The lines it prints set the environment of a
shell so that every command talks to the simulators:

  crmetl sandbox > sandbox.env &
  . ./sandbox.env
  crmetl import customers.csv mapmycustomers/customers

Faults are rules such as "POST /customers #3 status=429 retry-after=2"; several are separated by ";".`,
		Example: "  crmetl sandbox\n  crmetl sandbox --addr 127.0.0.1:8099 --seed 200000\n  crmetl sandbox --faults 'POST /customers #5 drop=after; * p=0.05 status=500'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.sandbox != "" {
				dir = a.sandbox
			}
			return a.serve(cmd.Context(), addr, dir, faults, seed)
		},
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "the loopback `ADDRESS` to listen on; port 0 takes a free one")
	c.Flags().StringVar(&dir, "dir", "crmetl-sandbox", "the `DIR` that keeps the records")
	c.Flags().StringVar(&faults, "faults", "", "failures to produce on demand")
	c.Flags().IntVar(&seed, "seed", 0, "make up so many records at the first start")
	return c
}

func (a *app) serve(ctx context.Context, addr, dir, faults string, seed int) error {
	if faults != "" {
		getenv := a.getenv
		a.getenv = func(k string) string {
			if k == "CRMETL_SANDBOX_FAULTS" {
				return faults
			}
			return getenv(k)
		}
		if _, err := sandbox.ParseFaults(faults); err != nil {
			return usage(fmt.Errorf("--faults: %w", err))
		}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	sims, err := a.simulators(dir, seed)
	if err != nil {
		return err
	}
	server, err := sandbox.Serve(ctx, addr, sims)
	if err != nil {
		return usage(err)
	}
	for _, c := range connectors.All() {
		settings := sims[c.Schema.Name].Settings(server.URL(c.Schema.Name))
		for _, k := range sortedKeys(settings) {
			fmt.Fprintf(a.stdout, "export CRMETL_%s_%s=%s\n", strings.ToUpper(c.Schema.Name), strings.ToUpper(k), shellQuote(settings[k]))
		}
	}
	abs, _ := filepath.Abs(dir)
	a.say("crmetl: serving %s; records are kept in %s; interrupt to stop", strings.Join(sortedKeys(sims), ", "), abs)
	select {
	case <-a.stop:
	case <-ctx.Done():
	}
	err = server.Close()
	for _, sim := range sims {
		if e := sim.Close(); err == nil {
			err = e
		}
	}
	return err
}

// shellQuote renders s as one word of a POSIX shell.
func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
