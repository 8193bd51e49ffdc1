package send

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

var faultTable = flag.Bool("table", false, "have TestFaults print what becomes of files")

// A fault is one thing that goes wrong with some of the requests, and nothing
// else does.
type fault struct {
	name   string
	preset string     // of the lab
	params url.Values // of the preset
	status int        // if not zero: the answer to each fourth request, which the lab does not see

	// What becomes of a file that meets it, by PUT or where the server is asked about it,
	// by POST with a key, and by POST. By PUT --no-overwrite it is as by POST if the server has
	// the file, since that is then refused.
	put, key, post item.Fate
	// Whether the server has the file when the fault is over.
	stored bool
	// Whether that may take longer than anybody waits.
	late bool
	// Whether each fault is met by a file of its own, where the file is not sent again.
	counted bool
}

// The rows of the table in DESIGN.md, section 5, that are not about redirects and
// credentials.
func faults() []fault {
	const d, f, u = item.Delivered, item.Failed, item.Unknown
	flaky := func(kind string, post item.Fate, stored bool, more ...string) fault {
		params := url.Values{}
		for _, name := range labFaults {
			params.Set(name, "0")
		}
		params.Set(kind, "0.3")
		for i := 0; i < len(more); i += 2 {
			params.Set(more[i], more[i+1])
		}
		return fault{name: strings.Join(append([]string{kind}, more...), " "), preset: "flaky", params: params, put: d, key: d, post: post, stored: stored, counted: true}
	}
	down := func(mode, length string, post item.Fate, stored bool) fault {
		return fault{name: "down: " + mode + " for " + length, preset: "down", params: url.Values{"mode": {mode}, "for": {length}, "after": {"3s"}},
			put: d, key: d, post: post, stored: stored}
	}
	answer := func(status int, key item.Fate) fault {
		all := fault{name: strconv.Itoa(status), status: status, put: f, key: key, post: f, counted: true}
		all.preset, all.params = "down", url.Values{"for": {"0s"}}
		return all
	}
	late := func(f fault) fault { f.late = true; return f }
	return []fault{
		flaky("408", d, false),
		flaky("425", d, false),
		flaky("429", d, false),
		flaky("503", d, false),
		flaky("503", d, false, "retry-after", "3"),
		flaky("500", u, false),
		flaky("502", u, false),
		flaky("504", u, false),
		flaky("500-after", u, true),
		flaky("502-after", u, true),
		flaky("504-after", u, true),
		flaky("reset-before", u, false),
		flaky("reset-in", u, false),
		flaky("reset-after", u, true),
		flaky("truncated", d, true),
		flaky("stalled", u, false),
		answer(400, f),
		answer(409, d),
		answer(413, f),
		answer(501, f),
		down("refuse", "20s", u, false),
		down("503", "20s", d, false),
		down("hang", "20s", d, false),
		late(down("hang", "2m", u, true)),
	}
}

// A column is a way of sending, as DESIGN.md has it, or with a flag that makes
// more of it.
type column struct {
	name        string
	way         sending
	verify      bool
	noOverwrite bool
}

var columns = []column{
	{"PUT", byPut, false, false},
	{"PUT --no-overwrite", byPut, false, true},
	{"PUT --no-overwrite --verify", byPut, true, true},
	{"POST", byTrust, false, false},
	{"POST --verify", byTrust, true, false},
	{"POST --idempotent", byKey, false, false},
}

// [at least once] [at most once] [exactly once] What each fault makes of a file, by each way of
// sending, is as the design says it, and agrees with what the server has.
func TestFaults(t *testing.T) {
	rows := make([][]string, len(faults()))
	t.Run("cells", func(t *testing.T) {
		for i, f := range faults() {
			rows[i] = make([]string, len(columns))
			for j, c := range columns {
				t.Run(f.name+"/"+c.name, func(t *testing.T) {
					race.Few(t, i*len(columns)+j)
					t.Parallel()
					rows[i][j] = f.meet(t, c)
				})
			}
		}
	})
	if !*faultTable {
		return
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "a share of the requests gets")
	for _, c := range columns {
		fmt.Fprint(table, "\t", c.name)
	}
	fmt.Fprintln(table)
	for i, f := range faults() {
		fmt.Fprintf(table, "%s\t%s\n", f.name, strings.Join(rows[i], "\t"))
	}
	table.Flush()
}

func (f *fault) want(c column) item.Fate {
	switch {
	case c.verify:
		return f.put
	case c.noOverwrite && f.stored:
		return f.post
	}
	return [...]item.Fate{byPut: f.put, byKey: f.key, byTrust: f.post}[c.way]
}

// twice reports whether a file that meets the fault may be accepted twice.
func (f *fault) twice(c column) bool {
	switch {
	case c.way == byPut:
		return f.stored && f.post == item.Unknown && !c.noOverwrite
	case c.verify:
		return f.late // than penstock waits before it asks
	}
	return false
}

// meet sends files to a server that has the fault, twice with one journal, and
// returns in words what became of them.
func (f *fault) meet(t *testing.T, c column) (words string) {
	const files, size = 16, 1 << 10
	dir := t.TempDir()
	trial := &trial{way: c.way, honour: true}
	byPath := map[string]*chaosFile{}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		name := fmt.Sprintf("%02d", i)
		content := []byte(strings.Repeat(name, size/2))
		file := &chaosFile{path: filepath.Join(dir, "data", name), name: "/" + name, sums: []string{sumOf(content)}}
		trial.files, byPath[file.path] = append(trial.files, file), file
		if err := os.WriteFile(file.path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		params := url.Values{"keys": {"honour"}}
		for name, value := range f.params {
			params[name] = value
		}
		server, err := lab.New(f.preset, params)
		if err != nil {
			t.Fatal(err)
		}
		l := memnet.Listen()
		defer l.Close()
		if f.status == 0 {
			server.Start(l)
			defer server.Close()
		} else {
			front := &http.Server{Handler: &refuser{status: f.status, next: server.Handler()}}
			go front.Serve(l)
			defer front.Close()
		}

		first := f.run(t, l, dir, c)
		before := server.Stats()
		trial.record = labRecord(before)
		want, count := f.want(c), map[item.Fate]int64{}
		for path, status := range first.ends {
			file := byPath[path]
			if file.final = status; file == nil {
				t.Fatalf("%q is none of the files", path)
			}
			count[status]++
			trial.claimed(file, status, "results")
			switch stored := trial.times(file, file.sum()); {
			case status != item.Delivered && status != want:
				t.Errorf("%q is %s, want %s or %s", file.name, status, item.Delivered, want)
			case status == item.Failed && stored > 0:
				t.Errorf("%q has failed, and the server has it", file.name)
			case status == item.Unknown && f.counted && (stored > 0) != f.stored:
				t.Errorf("%q is unknown, and was stored %d times", file.name, stored)
			}
		}
		for _, finding := range trial.findings {
			t.Error(finding)
		}

		var met int64
		switch q := first.summary.Requests; {
		case f.status > 0:
			met = q.ByStatus[strconv.Itoa(f.status)]
		case f.params.Get("mode") == "refuse": // the lab sees nothing of it
			met = q.Overloaded + q.Errors
		default:
			for _, n := range before.Faults {
				met += n
			}
		}
		if met == 0 {
			t.Error("no request met the fault")
		}
		again := c.noOverwrite && want == item.Unknown // it is sent again, and may meet the fault then
		// Of two attempts that the end of the fault lets go at once, the one that is still waited
		// for may be the first.
		none := again && f.late
		if want != item.Delivered && (count[want] == 0 && !none || f.counted && !again && count[want] != met) {
			t.Errorf("%d files are %s, after %d faults", count[want], want, met)
		}
		if sum := count[item.Delivered] + count[want]; sum < files {
			t.Errorf("%d files are forgotten", files-sum)
		}

		twice := int64(0)
		for _, file := range trial.files {
			twice += max(0, trial.times(file, file.sum())-1)
		}
		if twice > 0 && !f.twice(c) {
			t.Errorf("%d files were accepted twice", twice)
		}

		// Nothing of that changes by asking again, but for what has failed.
		second := f.run(t, l, dir, c)
		after := server.Stats()
		if most := count[item.Failed]; after.Requests-before.Requests > most && f.status == 0 || after.Accepted-before.Accepted > most {
			t.Errorf("the same command sends %d requests, and %d files are accepted again", after.Requests-before.Requests, after.Accepted-before.Accepted)
		}
		if i := second.summary.Items; i.Delivered+i.Skipped+i.Unknown+i.Failed != files || i.Unknown != count[item.Unknown] || i.Skipped != count[item.Delivered] {
			t.Errorf("the same command says %+v", i)
		}
		words = f.words(count, met, twice)
	})
	return words
}

// words is a cell of the table.
func (f *fault) words(count map[item.Fate]int64, met, twice int64) string {
	var words []string
	for _, status := range []item.Fate{item.Delivered, item.Failed, item.Unknown} {
		if n := count[status]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, status))
		}
	}
	text := strings.Join(words, ", ")
	if twice > 0 {
		text += fmt.Sprintf(" (%d bodies more)", twice)
	}
	return fmt.Sprintf("%s; %d faults", text, met)
}

// An end is what a run says of its files, in its results, its report and its
// journal.
type end struct {
	ends    map[string]item.Fate
	summary report.Summary
}

func (f *fault) run(t *testing.T, l *memnet.Listener, dir string, c column) (e end) {
	var lines, talk bytes.Buffer
	j, err := journal.Open(t.Context(), journal.Options{Path: filepath.Join(dir, "journal.db"), Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		GiveUpAfter: time.Hour,
		Attempts:    30,
		Network:     Network{StallTimeout: time.Minute, ConnectTimeout: 10 * time.Second, dial: l.DialContext},
		Progress:    new(watcher),
		Log:         slog.New(slog.NewTextHandler(&talk, nil)),
		Results:     report.NewResults(&lines),
		Journal:     j,
		To:          "http://127.0.0.1/{name}",
		Verify:      c.verify,
		NoOverwrite: c.noOverwrite,
	}
	if f.preset == "down" && f.status == 0 {
		o.Limits.Bandwidth = rate.Limit(4 << 10) // so that there is something in flight when the server goes down
	}
	from := source.Options{Paths: []string{filepath.Join(dir, "data")}, Method: http.MethodPost}
	switch c.way {
	case byPut:
		from.Method = http.MethodPut
	case byKey:
		o.Idempotency = Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}
	}
	if from.Template, err = source.ParseTemplate(o.To); err != nil {
		t.Fatal(err)
	}
	if o.Source, err = source.New(from); err != nil {
		t.Fatal(err)
	}
	if o.Found, err = o.Source.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.summary = Run(t.Context(), t.Context(), o)
	if err := o.Results.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.ends = map[string]item.Fate{}
	for line := range bytes.Lines(lines.Bytes()) {
		var it report.Item
		if err := json.Unmarshal(line, &it); err != nil {
			t.Fatal(err)
		}
		e.ends[it.Path] = it.Status
	}
	f.agree(t, e, filepath.Join(dir, "journal.db"))
	return e
}

// agree checks that the results, the report and the journal say the same.
func (f *fault) agree(t *testing.T, e end, path string) {
	r, err := journal.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	kept := 0
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		kept++
		if status := e.ends[it.Path]; it.State != status && status != item.Skipped {
			t.Errorf("%q is %s in the journal, and %s in the results", it.Path, it.State, status)
		}
	}
	if kept != len(e.ends) {
		t.Errorf("the journal has %d items, the results have %d", kept, len(e.ends))
	}
	var counts report.ItemCounts
	for _, status := range e.ends {
		counts.Total++
		switch status {
		case item.Delivered:
			counts.Delivered++
		case item.Failed:
			counts.Failed++
		case item.Unknown:
			counts.Unknown++
		case item.Skipped:
			counts.Skipped++
		}
	}
	if e.summary.Items != counts {
		t.Errorf("the report has %+v, the results have %+v", e.summary.Items, counts)
	}
	if want := (map[bool]int{false: exit.Delivered, true: exit.Items})[counts.Failed+counts.Unknown > 0]; e.summary.ExitStatus != want {
		t.Errorf("exit status %d, want %d", e.summary.ExitStatus, want)
	}
}

// A refuser answers each fourth request by itself.
type refuser struct {
	status int
	next   http.Handler

	mu sync.Mutex
	n  int
}

func (f *refuser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.n++
	refuse := f.n%4 == 2
	f.mu.Unlock()
	if refuse {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(f.status)
		return
	}
	f.next.ServeHTTP(w, r)
}
