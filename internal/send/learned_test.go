package send

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/throttle"
)

// Only what a server showed by accepting requests is called learned.
func TestLearnedByEvidence(t *testing.T) {
	onFakeTime(t, 40, answering(http.StatusServiceUnavailable), func(w *world) {
		w.GiveUpAfter = time.Minute
		if s := w.run(); s.Learned != (progress.Learned{}) {
			t.Errorf("of a server that accepts nothing it learned %+v", s.Learned)
		}
	})
}

// A run against a server that serves so many requests at once, and refuses all others, ends with
// that number.
func TestNumberIsLearned(t *testing.T) {
	c := etaCase{preset: "conns", params: "n=3&service=200ms", sizes: files(200, 1)}
	if _, s := c.run(t); s.Learned != (progress.Learned{InFlight: 3}) {
		t.Errorf("it learned %v", s.Learned)
	}
}

// The rate that a server is said to take is about the one that it takes, whatever was being tried
// when the run ended.
func TestPaceIsTrue(t *testing.T) {
	for _, row := range []struct {
		params string
		files  int
		given  rate.Limit
		true   float64
		silent bool // nothing can be known
	}{
		{params: "rate=4&burst=4", files: 60, given: 6, true: 4, silent: true},
		{params: "rate=4&burst=4", files: 300, given: 6, true: 4},
		{params: "rate=5&burst=20", files: 60, true: 5, silent: true},
		{params: "rate=5&burst=20", files: 300, true: 5},
	} {
		c := etaCase{preset: "quota", params: row.params, sizes: files(row.files, 1),
			limits: throttle.Limits{Rate: row.given}}
		_, s := c.run(t)
		said := float64(s.Learned.Rate)
		for _, note := range s.Notes {
			if _, advice, ok := strings.Cut(note, "give --rps "); ok {
				var err error
				if said, err = strconv.ParseFloat(advice, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		// a burst may last for as long as we look
		if silent := said == 0; silent != row.silent || !silent &&
			math.Abs(said-row.true) > 0.15*row.true {
			t.Errorf("%s, %d files: it says that the server takes %v", row.params, row.files, said)
		}
	}
}

// What is said of each of several servers comes from it alone, and no pace is advised, which would
// be for all of them.
func TestLearnedOfSeveralServers(t *testing.T) {
	for _, given := range []rate.Limit{0, 6} {
		onFakeTime(t, 1, nil, func(w *world) {
			var listeners []*memnet.Listener
			for _, params := range []url.Values{{"rate": {"4"}, "burst": {"4"}},
				{"rate": {"2"}, "burst": {"2"}}, {"rate": {"100"}, "burst": {"100"}}} {
				server, err := lab.New("quota", params)
				if err != nil {
					t.Fatal(err)
				}
				l := memnet.Listen()
				defer l.Close()
				server.Start(l)
				defer server.Close()
				listeners = append(listeners, l)
			}
			w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return listeners[addr[len("127.0.0.")]-'1'].DialContext(ctx, network, addr)
			}
			var lines strings.Builder
			for i := range 400 {
				for host := range 3 {
					fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n",
						w.firstFile(), host+1, i)
				}
			}
			w.manifest(lines.String())
			w.Limits.Rate = given
			s := w.run()
			w.ended(s, exit.Delivered, 1200, 0, 0, 0, 0)
			said := make(map[string]float64)
			for _, l := range s.LearnedByServer {
				said[l.Server] = float64(l.Rate)
			}
			notes := strings.Join(s.Notes, "\n")
			if given > 0 {
				takes := regexp.MustCompile(`(?m)^(\S+) takes (\S+)/s, not 6/s$`)
				for _, m := range takes.FindAllStringSubmatch(notes, -1) {
					said[m[1]], _ = strconv.ParseFloat(m[2], 64)
				}
			}
			for _, seen := range w.watch.snapshots[1:] {
				if seen.Learned != (progress.Learned{}) && seen.Sent > 3 {
					t.Fatalf("after %v the progress says that it learned %+v, and not of which "+
						"server", seen.Elapsed, seen.Learned)
				}
			}
			for i, pace := range []float64{4, 2} {
				server := fmt.Sprintf("http://127.0.0.%d", i+1)
				// none at the end, if the last was refused just then
				if got := said[server]; got != 0 && (got < 0.6*pace || got > 1.15*pace) {
					t.Errorf("given %v: it says that %s takes %v/s, want %v/s\n%s", given, server,
						got, pace, notes)
				}
				if given == 0 && !strings.Contains(w.watch.talk.String(), server+" takes ") {
					t.Errorf("it never says what %s takes", server)
				}
			}
			if given > 0 && said["http://127.0.0.3"] != 0 {
				t.Errorf("it says that the fastest takes less than it was given:\n%s", notes)
			}
			if s.Learned != (progress.Learned{}) || strings.Contains(notes, "--rps") {
				t.Errorf("given %v: of all together it learned %+v and advises\n%s", given,
					s.Learned, notes)
			}
		})
	}
}
