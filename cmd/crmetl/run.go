package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/journal"
)

// The exit codes of the command line's contract.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRejected    = 3
	exitStopped     = 4
	exitUnsure      = 5
	exitHeld        = 6
	exitInterrupted = 130
	exitTerminated  = 143
	exitPipe        = 141 // what a shell says of a command whose reader has gone
)

// exitError is an error that knows its exit code, and what the user can do next.
type exitError struct {
	code int
	err  error // nil: everything was said already
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the user's to mend before anything was sent.
func usage(err error) error { return hinted(exitUsage, err, "") }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

func hinted(code int, err error, hint string) error {
	if err == nil {
		return nil
	}
	var e *exitError
	if errors.As(err, &e) {
		return err
	}
	return &exitError{code: code, err: err, hint: hint}
}

// app is one call of the program: its surroundings and the flags that every command takes.
type app struct {
	getenv         func(string) string
	heap           *easing
	stdin          io.Reader
	stdout, stderr io.Writer
	stop           chan struct{} // closed at the first interrupt
	signal         func() os.Signal

	config    string
	sandbox   string
	json      bool
	progress  string
	logLevel  string
	logFormat string
	quiet     bool
	profiles  profiles
	profiled  func() error // ends the profiles; nil if none was begun
}

// run is the whole program: main without the process around it, so that script tests can run it too.
func run(ctx context.Context, args []string, getenv func(string) string, heap *easing, stdin io.Reader, stdout, stderr io.Writer) int {
	// net/http writes what it does not expect of a server to the standard logger, answers' bytes included.
	log.SetOutput(io.Discard)
	a := &app{getenv: getenv, heap: heap, stdin: stdin, stdout: stdout, stderr: stderr, stop: make(chan struct{})}
	ctx, done := a.interrupts(ctx)
	defer done()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if a.profiled != nil {
		err = errors.Join(err, a.profiled())
	}
	return a.report(err)
}

// report says what went wrong and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	var held *journal.Held
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: exitFailed, err: err}
		if errors.As(err, &held) {
			e.code = exitHeld
		}
	}
	var call *api.Error
	if e.code == exitFailed && errors.Is(err, syscall.EPIPE) && !errors.As(err, &call) {
		return exitPipe // whoever reads has had enough, as in crmetl export … - | head
	}
	if e.err != nil {
		text := e.err.Error()
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			fmt.Fprintf(a.stderr, "crmetl: error: %s\n", line)
		}
	}
	if e.hint != "" {
		fmt.Fprintf(a.stderr, "crmetl: hint: %s\n", e.hint)
	}
	return e.code
}

// warn says something that the user should know and that stops nothing.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.stderr, "crmetl: warning: "+format+"\n", args...)
}

// say tells the user something that is not data; -q keeps it back.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// interrupts listens for the user's wish to stop: the first one closes a.stop, so that calls in flight finish; the
// second cancels the context.
func (a *app) interrupts(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup wants it ignored
		signal.Notify(signals, syscall.SIGHUP) // the terminal was closed
	}
	// Nobody reads what a run says any more: that must not end the run between a call and its outcome. Notified and not
	// ignored, as what is ignored stays so in the commands that are run for secrets.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	var mu sync.Mutex
	var got os.Signal
	a.signal = func() os.Signal {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if n == 0 {
					mu.Lock()
					got = s
					mu.Unlock()
					close(a.stop)
					a.say("\ncrmetl: stopping: calls in flight finish first (once more to break off)")
					continue
				}
				cancel()
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		cancel()
	}
}

// untilStop returns a context that ends at the first interrupt already, for work that leaves nothing half done.
func (a *app) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// interruptCode is the exit code of a run that a signal ended.
func (a *app) interruptCode() int {
	if s := a.signal(); s == syscall.SIGTERM || s == syscall.SIGHUP {
		return exitTerminated
	}
	return exitInterrupted
}

// root is the table of subcommands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "crmetl",
		Short: "Load spreadsheets into CRMs and export CRMs into files, with every row accounted for",
		Example: `  crmetl import samples/customers.csv mapmycustomers/customers --sandbox   try it against a simulator
  crmetl plan leads.xlsx mapmycustomers/customers                          what would happen, without sending
  crmetl export mapmycustomers/customers customers.xlsx                    a vendor's records as a workbook
  crmetl mapping init leads.xlsx mapmycustomers/customers > leads.yaml     a mapping to start from`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		SuggestionsMinimumDistance: 2,
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err = a.checkFlags(cmd); err == nil {
			a.profiled, err = a.profiles.start()
		}
		return err
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hinted(exitUsage, plainFlagError(err), fmt.Sprintf("%s --help lists the options", cmd.CommandPath()))
	})
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration `FILE` (default $CRMETL_CONFIG, ./crmetl.yaml, then the user's config folder)")
	f.StringVar(&a.sandbox, "sandbox", "", "run against simulators started inside this process; `DIR` keeps their data")
	f.Lookup("sandbox").NoOptDefVal = "crmetl-sandbox"
	f.BoolVar(&a.json, "json", false, "print the result as JSON on standard output")
	f.StringVar(&a.progress, "progress", "auto", "how to show progress: auto, bar, plain or none")
	f.StringVar(&a.logLevel, "log-level", "warn", "what to log: debug, info, warn or error")
	f.StringVar(&a.logFormat, "log-format", "text", "how to log: text or json")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing but errors and results")
	a.profiles.register(f)
	root.AddCommand(
		a.importCommand(), a.planCommand(), a.exportCommand(), a.inspectCommand(), a.convertCommand(),
		a.resumeCommand(), a.runsCommand(), a.explainCommand(), a.mappingCommand(), a.describeCommand(),
		a.pingCommand(), a.sandboxCommand(), a.completionCommand(), a.versionCommand(),
	)
	for _, c := range root.Commands() {
		strictArgs(c)
	}
	return root
}

// checkFlags finds wrong values of the flags that every command takes.
func (a *app) checkFlags(cmd *cobra.Command) error {
	if cmd.Flags().Changed("sandbox") && a.sandbox == "" {
		return hinted(exitUsage, errors.New("--sandbox= names no folder"), "--sandbox alone uses crmetl-sandbox; to work with the real account leave it out")
	}
	switch a.progress {
	case "auto", "bar", "plain", "none":
	default:
		return usagef("--progress %q: it is auto, bar, plain or none", a.progress)
	}
	_, err := a.log()
	return err
}

// plainFlagError takes the words of the Go library out of an error about a flag.
func plainFlagError(err error) error {
	text, detail, ok := strings.Cut(err.Error(), ": strconv.")
	if !ok {
		return err
	}
	what := "it is a number"
	if strings.Contains(detail, "out of range") {
		what = "the number is too large"
	}
	return errors.New(text + ": " + what)
}

// strictArgs makes wrong arguments the user's problem (exit code 2), with the usage line as the way on.
func strictArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return hinted(exitUsage, err, "usage: "+cmd.UseLine())
		}
		return nil
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := fmt.Sprintf("%s --help lists the commands", cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q? %s", near[0], hint)
	}
	return hinted(exitUsage, fmt.Errorf("there is no command %q", name), hint)
}

// args checks the number of arguments and names those that are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			verb := "is"
			if len(names)-len(args) > 1 {
				verb = "are"
			}
			return fmt.Errorf("%s %s missing", strings.Join(names[len(args):], " and "), verb)
		}
		return tooMany(args, len(names))
	}
}

// atMost checks that there are no more arguments than that.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error { return tooMany(args, n) }
}

func tooMany(args []string, n int) error {
	if len(args) > n {
		return fmt.Errorf("too many arguments: %s (a folder for --sandbox is given as --sandbox=DIR)", strings.Join(args[n:], " "))
	}
	return nil
}

// log returns the logger that --log-level and --log-format ask for.
func (a *app) log() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, usagef("--log-level %q: it is one of debug, info, warn and error", a.logLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	switch a.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, o)), nil
	}
	return nil, usagef("--log-format %q: it is text or json", a.logFormat)
}
