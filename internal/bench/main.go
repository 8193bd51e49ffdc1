// Bench measures `penstock send` beside a plain, well-tuned http.Client on the same nginx:
//
//	go run ./internal/bench
//	go run ./internal/bench -run '^2000x4KiB' -rounds 9
//	go run ./internal/bench -run relay
//	go run ./internal/bench -list
//
// The workload relay asks `penstock relay`, nginx as a cache and a bare httputil.ReverseProxy for a
// small answer, with many users at once; it is run only where -run names it.
//
// Each run is a process of its own against a fresh server, the two take turns, and every byte that
// arrived is counted; a run that loses or repeats anything is an error, not a row. Files lie in
// memory where there is a tmpfs.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	// The same program also is the plain client, and the process that measures another one.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "plain":
			exit(plain(os.Args[2:]))
		case "measure":
			exit(measure(os.Args[2:]))
		case "reverse":
			exit(reverse(os.Args[2], os.Args[3]))
		}
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that is gone must not leave servers behind
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("run", "", "only workloads whose name matches this `regexp`")
	rounds := flags.Int("rounds", 5, "runs of each client")
	bin := flags.String("penstock", "", "measure this `binary` instead of building one")
	extra := flags.String("args", "", "more `arguments` for penstock send, separated by spaces")
	tmp := flags.String("tmp", "",
		"`directory` for the files (default /dev/shm, else the system's)")
	list := flags.Bool("list", false, "list the workloads and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(workloads(),
		func(w workload) bool { return !pattern.MatchString(w.name) })
	if *only == "relay" {
		chosen = nil
	}
	if *list {
		for _, w := range chosen {
			fmt.Fprintf(out, "%-16s %s\n", w.name, w.about)
		}
		fmt.Fprintf(out, "%-16s %s\n", "relay", "penstock relay beside nginx and ReverseProxy")
		return nil
	}
	if *rounds < 1 || len(chosen) == 0 && *only != "relay" {
		return errors.New("bench: nothing to do: -rounds is below 1, or -run matches no " +
			"workload (-list shows them)")
	}

	if info, err := os.Stat("/dev/shm"); *tmp == "" && err == nil && info.IsDir() {
		*tmp = "/dev/shm"
	}
	dir, err := os.MkdirTemp(*tmp, "penstock-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *bin == "" {
		*bin = filepath.Join(dir, "penstock.exe")
		build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", *bin,
			"github.com/penstock/penstock/cmd/penstock")
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("bench: go build: %w\n%s", err, said)
		}
	}
	disk, err := os.MkdirTemp("", "penstock-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(disk)
	b := &bench{ctx: ctx, dir: dir, disk: disk, penstock: *bin, extra: strings.Fields(*extra)}

	fmt.Fprintf(out, "%s, %s/%s, %d CPUs, %d rounds, load %s\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *rounds, load())
	if *only == "relay" {
		return benchRelay(ctx, *bin, dir, *rounds, out)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table,
		"workload\tclient\twall\tspread\tCPU\tpeak\trequests\trefused\tof the ideal\t")
	for _, w := range chosen {
		ours, theirs, err := b.rounds(w, *rounds)
		if err != nil {
			table.Flush()
			return fmt.Errorf("bench: %s: %w", w.name, err)
		}
		fmt.Fprintln(table, row(w, "penstock", ours))
		if theirs != nil {
			other := "plain"
			if w.journal {
				other = "no journal"
			}
			fmt.Fprintln(table, row(w, other, theirs))
			a, b := medians(ours), medians(theirs)
			fmt.Fprintf(table, "\tratio\t%.2f\t\t%.2f\t%.2f\t\t\t\t\n",
				a.Wall.Seconds()/b.Wall.Seconds(), a.CPU.Seconds()/b.CPU.Seconds(),
				float64(a.Peak)/float64(b.Peak))
		}
	}
	fmt.Fprintf(table, "\n")
	table.Flush()
	fmt.Fprintf(out, "medians; spread: fastest to slowest; load at the end %s\n", load())
	return nil
}

func row(w workload, client string, rs []result) string {
	m := medians(rs)
	quickest, slowest := rs[0].Wall, rs[0].Wall
	for _, r := range rs {
		quickest, slowest = min(quickest, r.Wall), max(slowest, r.Wall)
	}
	ideal := ""
	if w.ideal > 0 {
		ideal = fmt.Sprintf("%+.1f %%", 100*(m.Wall.Seconds()/w.ideal.Seconds()-1))
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s-%s\t%s\t%.0f MiB\t%d\t%d\t%s\t", w.name, client,
		seconds(m.Wall), seconds(quickest), seconds(slowest), seconds(m.CPU),
		float64(m.Peak)/(1<<20), m.requests, m.refused, ideal)
}

func seconds(d time.Duration) string {
	digits := 3
	if d > 10*time.Second {
		digits = 2
	}
	return fmt.Sprintf("%.*f s", digits, d.Seconds())
}

// medians takes each column's median by itself.
func medians(rs []result) result {
	return result{
		usage: usage{
			Wall: median(rs, func(r result) time.Duration { return r.Wall }),
			CPU:  median(rs, func(r result) time.Duration { return r.CPU }),
			Peak: median(rs, func(r result) int64 { return r.Peak }),
		},
		requests: median(rs, func(r result) int { return r.requests }),
		refused:  median(rs, func(r result) int { return r.refused }),
	}
}

func median[T cmp.Ordered](rs []result, of func(result) T) T {
	var all []T
	for _, r := range rs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// load is the machine's load averages over 1, 5 and 15 minutes, if it reports them.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 3 {
		return strings.Join(f[:3], " ")
	}
	return "unknown"
}
