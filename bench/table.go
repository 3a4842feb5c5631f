package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// printTable prints what was measured as a table in Markdown, and who could not be measured and why.
func printTable(w io.Writer, all []figures) {
	first := &all[0]
	fmt.Fprintln(w, "| | rows/s | ratio | median s | best s | processor s | processor ratio | MB |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|")
	for i := range all {
		f := &all[i]
		if f.err != nil {
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %d |\n", f.name, thousands(int(f.speed())), digits(f.speed()/first.speed()),
			digits(f.median().Seconds()), digits(f.best().Seconds()), digits(f.cpu().Seconds()), digits(f.thrift()/first.thrift()), f.peak())
	}
	fmt.Fprintf(w, "\nMB: the most memory of any run; what needs less than this program's own %d shows that.\n\n", ownPeak())
	for _, f := range all {
		if f.err != nil {
			fmt.Fprintf(w, "- not measured: %s: %v\n", f.name, f.err)
		}
	}
}

// thousands writes a number as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// digits writes a ratio, or seconds, with at least two digits that say something.
func digits(x float64) string {
	switch {
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

// goal says what was to be reached, and whether it was.
type goal func(all []figures) string

// find returns the figures of the name; nil if it was not measured.
func find(all []figures, name string) *figures {
	for i := range all {
		if all[i].name == name && all[i].err == nil {
			return &all[i]
		}
	}
	return nil
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "not met"
}

// faster is the goal to be so many times as fast as another contender. Where that one is absent, a ratio to the first
// contender stands for it, if it is known; else 0.
func faster(of string, times float64, over string, instead float64) goal {
	return func(all []figures) string {
		text := fmt.Sprintf("%s, %g × %s", of, times, over)
		a, b := find(all, of), find(all, over)
		if b == nil && instead > 0 {
			b, times = &all[0], instead
			text += fmt.Sprintf(", which was not measured and stood at %.2f × %s", instead, b.name)
		}
		if a == nil || b == nil {
			return text + ": not measured"
		}
		got := a.speed() / b.speed()
		return fmt.Sprintf("%s: %s, %s; by processor seconds %s", text, digits(got), verdict(got >= times), digits(a.thrift()/b.thrift()))
	}
}

// below is the goal to need less memory than so many MB.
func below(of string, mb int64) goal {
	return func(all []figures) string {
		text := fmt.Sprintf("%s, under %d MB", of, mb)
		f := find(all, of)
		if f == nil {
			return text + ": not measured"
		}
		return fmt.Sprintf("%s: %d, %s", text, f.peak(), verdict(f.peak() < mb))
	}
}

// growth is the goal that a row of the large file costs at most so many percent more than one of the small file. What
// starting costs, which the run with hardly a row shows, is taken away first.
func growth(start, small, large string, percent float64) goal {
	return func(all []figures) string {
		text := fmt.Sprintf("a row's processor time grows by less than %g%% from \"%s\" to \"%s\"", percent, small, large)
		z, a, b := find(all, start), find(all, small), find(all, large)
		if z == nil || a == nil || b == nil {
			return text + ": not measured"
		}
		each := func(f *figures) float64 { return float64(f.cpu()-z.cpu()) / float64(f.rows-z.rows) }
		got := 100 * (each(b)/each(a) - 1)
		return fmt.Sprintf("%s: %.0f and %.0f ns, %+.1f%%, %s", text, each(a), each(b), got, verdict(got < percent))
	}
}

// machine describes what this runs on.
func machine(ctx context.Context) string {
	cpu, memory, system := "processor not known", "", runtime.GOOS
	switch runtime.GOOS {
	case "linux":
		cpu = field("/proc/cpuinfo", "model name", ":", cpu)
		memory = field("/proc/meminfo", "MemTotal", ":", "")
		system = strings.Trim(field("/etc/os-release", "PRETTY_NAME", "=", system), `"`)
	case "darwin":
		cpu, memory = printed(ctx, "sysctl", "-n", "machdep.cpu.brand_string"), printed(ctx, "sysctl", "-n", "hw.memsize")
		system = "macOS " + printed(ctx, "sw_vers", "-productVersion")
	}
	text := fmt.Sprintf("%s, %d processors", cpu, runtime.NumCPU())
	if number, unit, _ := strings.Cut(memory, " "); number != "" {
		bytes, _ := strconv.ParseFloat(number, 64)
		if unit == "kB" {
			bytes *= 1024
		}
		text += fmt.Sprintf(", %.0f GiB", bytes/(1<<30))
	}
	return fmt.Sprintf("%s, %s (%s/%s), %s", text, system, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// field finds a line of the form "name SEPARATOR value" in a file.
func field(path, name, separator, otherwise string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}

// printed is the first line that a program prints, "" if it fails.
func printed(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(line)
}

// load says how busy the machine is, where it tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	one, _, _ := strings.Cut(string(text), " ")
	return ", load " + one + " at their end"
}
