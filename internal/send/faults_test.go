package send

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/test"
)

var faultTable = flag.Bool("table", false, "have TestFaults print what becomes of files")

// A fault is one thing that goes wrong with some of the requests, and nothing else does.
type fault struct {
	name   string
	event  string     // the row of outcomes.md with what becomes of a file that meets it
	preset string     // of the lab
	params url.Values // of the preset
	status int        // if not zero: the answer to each fourth request, which the lab does not see
	stored bool       // whether the server has the file when the fault is over
	// Whether that may take longer than anybody waits.
	late bool
	// Whether each fault is met by a file of its own, where the file is not sent again.
	counted bool
}

func faults() (all []fault) {
	flaky := func(event, kind string, stored bool, more ...string) {
		params := url.Values{}
		for _, name := range labFaults {
			params.Set(name, "0")
		}
		params.Set(kind, "0.3")
		for i := 0; i < len(more); i += 2 {
			params.Set(more[i], more[i+1])
		}
		name := strings.Join(append([]string{kind}, more...), " ")
		all = append(all, fault{name: name, event: event, preset: "flaky", params: params,
			stored: stored, counted: true})
	}
	for _, status := range []string{"408", "425", "429", "503", "500", "502", "504"} {
		flaky(status, status, false)
	}
	flaky("503", "503", false, "retry-after", "3")
	flaky("500", "500-after", true)
	flaky("502", "502-after", true)
	flaky("504", "504-after", true)
	flaky("connection reset", "reset-before", false)
	flaky("connection reset", "reset-in", false)
	flaky("connection reset", "reset-after", true)
	flaky("200 whose text is cut off", "truncated", true)
	flaky("no answer in time", "stalled", false)
	for event, status := range map[string]int{"400": 400, "409": 409, "413": 413, "501": 501} {
		all = append(all, fault{name: strconv.Itoa(status), event: event, status: status,
			counted: true,
			preset:  "down", params: url.Values{"for": {"0s"}}})
	}
	down := func(event, mode, length string, late bool) {
		params := url.Values{"mode": {mode}, "for": {length}, "after": {"3s"}}
		all = append(all, fault{name: "down: " + mode + " for " + length, event: event,
			preset: "down",
			params: params, stored: late, late: late})
	}
	down("connection reset", "refuse", "20s", false)
	down("503", "503", "20s", false)
	down("200", "hang", "20s", false)
	down("no answer in time", "hang", "2m", true)
	return all
}

// A column is a way of sending, as outcomes.md has it, or with a flag that makes more of it.
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
// sending, is as outcomes.md has it, and agrees with what the server has.
func TestFaults(t *testing.T) {
	faults := faults()
	rows := make([][]string, len(faults))
	t.Run("cells", func(t *testing.T) {
		for i, f := range faults {
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
	for i, f := range faults {
		fmt.Fprintf(table, "%s\t%s\n", f.name, strings.Join(rows[i], "\t"))
	}
	table.Flush()
}

// want is what becomes of a file that meets the fault. By PUT --no-overwrite it is as by POST if
// the server has the file, since that is then refused.
func (f *fault) want(t *testing.T, c column) item.Fate {
	way := c.way
	switch {
	case c.verify:
		way = byPut
	case c.noOverwrite && f.stored:
		way = byTrust
	}
	for _, row := range outcomeTable() {
		if row.event == f.event {
			if fate, err := item.Parse(row.of(way)); err == nil {
				return fate
			}
			return item.Delivered // when it is sent again
		}
	}
	t.Fatalf("outcomes.md has no event %q", f.event)
	return item.None
}

// twice reports whether a file that meets the fault may be accepted twice.
func (f *fault) twice(t *testing.T, c column) bool {
	switch {
	case c.way == byPut:
		return f.stored && f.want(t, column{way: byTrust}) == item.Unknown && !c.noOverwrite
	case c.verify:
		return f.late // than penstock waits before it asks
	}
	return false
}

// meet sends files to a server that has the fault, twice with one journal, and returns in words
// what became of them.
func (f *fault) meet(t *testing.T, c column) (words string) {
	const files, size = 16, 1 << 10
	trial := &trial{way: c.way, honour: true}
	byPath := map[string]*chaosFile{}
	onFakeTime(t, files, nil, func(w *world) {
		for it := range w.Source.Items() {
			content := []byte(strings.Repeat(it.Rel[3:], size/2))
			test.OK(t, os.WriteFile(it.Path, content, 0o600))
			file := &chaosFile{path: it.Path, name: "/" + it.Rel, sums: []string{sumOf(content)}}
			trial.files, byPath[it.Path] = append(trial.files, file), file
		}
		params := url.Values{"keys": {"honour"}}
		for name, value := range f.params {
			params[name] = value
		}
		server, err := lab.New(f.preset, params)
		test.OK(t, err)
		l := memnet.Listen()
		defer l.Close()
		w.Network.Dial, w.Network.ConnectTimeout = l.DialContext, 10*time.Second
		if f.status == 0 {
			server.Start(l)
			defer server.Close()
		} else {
			front := &http.Server{Handler: &refuser{status: f.status, next: server.Handler()}}
			go front.Serve(l)
			defer front.Close()
		}

		w.method(http.MethodPost)
		switch c.way {
		case byPut:
			w.method(http.MethodPut)
		case byKey:
			w.Idempotency = keys
		}
		w.Attempts, w.Verify, w.NoOverwrite = 30, c.verify, c.noOverwrite
		if f.preset == "down" && f.status == 0 {
			// so that there is something in flight when the server goes down
			w.Limits.Bandwidth = rate.Limit(4 << 10)
		}
		name := filepath.Join(w.TempDir(), "journal.db")
		first, ends := w.agreed(name)
		before := server.Stats()
		trial.record = labRecord(before)
		want, count := f.want(t, c), map[item.Fate]int64{}
		for path, status := range ends {
			file := byPath[path]
			if file == nil {
				t.Fatalf("%q is none of the files", path)
			}
			file.final = status
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
		switch q := first.Requests; {
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
		// it is sent again, and may meet the fault then
		again := c.noOverwrite && want == item.Unknown
		// Of two attempts that the end of the fault lets go at once, the one that is still waited
		// for may be the first.
		none := again && f.late
		if want != item.Delivered && (count[want] == 0 && !none || f.counted && !again &&
			count[want] != met) {
			t.Errorf("%d files are %s, after %d faults", count[want], want, met)
		}
		if sum := count[item.Delivered] + count[want]; sum < files {
			t.Errorf("%d files are forgotten", files-sum)
		}

		twice := int64(0)
		for _, file := range trial.files {
			twice += max(0, trial.times(file, file.sum())-1)
		}
		if twice > 0 && !f.twice(t, c) {
			t.Errorf("%d files were accepted twice", twice)
		}

		// Nothing of that changes by asking again, but for what has failed.
		second, _ := w.agreed(name)
		after := server.Stats()
		if most := count[item.Failed]; after.Requests-before.Requests > most && f.status == 0 ||
			after.Accepted-before.Accepted > most {
			t.Errorf("the same command sends %d requests, and %d files are accepted again",
				after.Requests-before.Requests, after.Accepted-before.Accepted)
		}
		if i := second.Items; i.Delivered+i.Skipped+i.Unknown+i.Failed != files ||
			i.Unknown != count[item.Unknown] || i.Skipped != count[item.Delivered] {
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

// agreed does a run with the journal of that name, and checks that its results, its report and the
// journal say the same. It returns what became of each file, by path.
func (w *world) agreed(name string) (s report.Summary, ends map[string]item.Fate) {
	w.Helper()
	w.journal(name)
	results := w.results()
	s = w.run()
	ends = map[string]item.Fate{}
	var counts report.ItemCounts
	for _, it := range results() {
		ends[it.Path] = it.Status
		counts.Total++
		switch it.Status {
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
	w.items(s, counts)
	if want := (map[bool]int{false: exit.Delivered,
		true: exit.Items})[counts.Failed+counts.Unknown > 0]; s.ExitStatus != want {
		w.Errorf("exit status %d, want %d", s.ExitStatus, want)
	}
	kept := rows(w.T, name)
	for _, it := range kept {
		if status := ends[it.Path]; it.State != status && status != item.Skipped {
			w.Errorf("%q is %s in the journal, and %s in the results", it.Path, it.State, status)
		}
	}
	if len(kept) != len(ends) {
		w.Errorf("the journal has %d items, the results have %d", len(kept), len(ends))
	}
	return s, ends
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
