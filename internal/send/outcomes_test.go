package send

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/test"
)

// hijacked breaks the connection off, by a reset or by its end.
func hijacked(w http.ResponseWriter, answer string, end func(*memnet.Conn) error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, answer)
	_ = end(conn.(*memnet.Conn))
}

// telling answers with a text.
func telling(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

//go:embed outcomes.md
var outcomesText string

// An outcomeRow is a row of outcomes.md.
type outcomeRow struct {
	event          string
	put, post, key string
	alike          string // exit status
}

func (o *outcomeRow) of(s sending) string {
	return [...]string{byPut: o.put, byKey: o.key, byTrust: o.post}[s]
}

var eventOfStatuses = regexp.MustCompile(`^(\d{3}(?:, \d{3})*)(.*)$`)

// outcomeTable reads outcomes.md. An event of several statuses becomes a row for each.
func outcomeTable() (rows []outcomeRow) {
	for line := range strings.Lines(outcomesText) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || cells[1] == " event " {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		row := outcomeRow{cells[1], cells[2], cells[3], cells[4], cells[5]}
		m := eventOfStatuses.FindStringSubmatch(row.event)
		if m == nil {
			rows = append(rows, row)
			continue
		}
		for status := range strings.SplitSeq(m[1], ", ") {
			row.event = status + m[2]
			rows = append(rows, row)
		}
	}
	return rows
}

// An event is how a row of outcomes.md comes about.
type event struct {
	status int              // of the answer, if it is one of HTTP
	answer http.HandlerFunc // if nil, the server accepts
	dial   error
	later  bool // once a file was accepted
	twice  bool // it takes a second request, where that is safe
	early  bool // the answer comes before a large file was sent
	stops  bool // the run, a second after its beginning
	dies   bool // the program, while the server accepts the file
	follow Hosts
	says   string // what is said of a file that is not delivered

	effect rules.Effect // of the rule, if there is one
	rule   string
}

func eventOf(t *testing.T, name string) (e event) {
	status, rest, _ := strings.Cut(name, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		rest = name
	}
	raw := func(answer string, end func(*memnet.Conn) error) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { hijacked(w, answer, end) }
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	unknown := &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}
	says := status + " " + http.StatusText(code)
	defer func() { e.status = code }()
	switch rest {
	case "":
		return event{answer: answering(code), says: says}
	case "with Retry-After":
		return event{answer: answering(code, "Retry-After", "2"), says: says}
	case "to another URL":
		return event{answer: answering(code, "Location", "/new?key=value"),
			says: says + ": redirected to http://127.0.0.1/new: "}
	case "to another origin":
		return event{answer: answering(code, "Location", "http://127.0.0.2/new"),
			says: "redirected to http://127.0.0.2/new, another origin, which is not followed: " +
				"send there; or add --follow-to 127.0.0.2"}
	case "to another origin that the user named":
		return event{answer: answering(code, "Location", "http://127.0.0.2/new"),
			follow: Hosts{"127.0.0.2"}, says: "no more are followed"}
	case "that --accept 409 accepts":
		return event{answer: answering(code), effect: rules.Accept, rule: "409"}
	case "that --reject rejects":
		return event{answer: telling(code, `{"no":"album"}`), effect: rules.Reject, rule: "2xx:.no",
			says: says + `: rejected by --reject 2xx:.no: {"no":"album"}`}
	case "that does not pass --accept":
		return event{answer: telling(code, `{"no":"album"}`), effect: rules.Accept,
			rule: `200:.yes`, says: says + `: it does not pass --accept 200:.yes: {"no":"album"}`}
	case "by --retry-on":
		return event{answer: telling(code, `{"busy":true}`), effect: rules.Retry, rule: "any:.busy",
			says: `: not taken yet, by --retry-on any:.busy: {"busy":true}`}
	case "by --throttle-on":
		return event{answer: telling(code, `{"slow":true}`), effect: rules.Throttle,
			rule: "any:.slow"}
	case "whose text a rule needs and that is cut off":
		head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: 100\r\n\r\n", says)
		return event{answer: raw(head+`{"no`, (*memnet.Conn).Close), effect: rules.Reject,
			rule: "any:.no", says: ": its answer could not be read for --reject any:.no: it was cut off"}
	case "while nothing is accepted any more":
		return event{answer: answering(code), later: true, says: says}
	case "whose text is cut off":
		head := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
		return event{answer: raw(head+"sto", (*memnet.Conn).Close)}
	case "before the file was sent whole":
		return event{early: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(code)
			_ = http.NewResponseController(w).Flush()
		}}
	case "502, then 412":
		answers := []int{http.StatusBadGateway, http.StatusPreconditionFailed}
		return event{twice: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answers[0])
			answers = answers[1:]
		}}
	case "connection refused":
		return event{dial: syscall.ECONNREFUSED}
	case "connection reset":
		return event{answer: raw("", (*memnet.Conn).Reset),
			says: "the server closed the connection without an answer"}
	case "no answer in time":
		return event{answer: silent, says: "the attempt took longer than --timeout 5 s"}
	case "an answer that is not HTTP, and nothing ever accepted":
		return event{answer: raw("OK stored\r\n", (*memnet.Conn).Close),
			says: "answers in something other than HTTP: check the port"}
	case "host unknown, and nothing ever accepted":
		return event{dial: unknown, says: ": no such host: h: check the name"}
	case "host unknown, after something was accepted":
		return event{dial: unknown, later: true}
	case "interrupted in flight":
		return event{answer: silent, stops: true, says: "interrupted"}
	case "the program dies in flight":
		return event{dies: true, says: "it may have arrived in an earlier run"}
	}
	t.Fatalf("no event %q", name)
	return event{}
}

// A meeting is a run some of whose requests meet an event.
type meeting struct {
	event
	way      sending
	method   string
	files    int
	attempts int
	times    int // how many requests meet the event

	handled, failed int // requests that came, and dials that failed
}

func (m *meeting) run(t *testing.T) (s report.Summary) {
	first := 0 // request that meets the event, less one
	if m.later {
		first = 1
	}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, m.files, func(rw http.ResponseWriter, r *http.Request) {
		m.handled++
		if n := m.handled - first; m.answer != nil && n > 0 && n <= m.times {
			if !m.early {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			m.answer(rw, r)
			return
		}
		if body, _ := io.ReadAll(r.Body); len(body) == 0 || r.Method != m.method {
			t.Errorf("%s with the body %q", r.Method, body)
		}
		if m.dies && m.handled == 1 {
			copyJournal(t, name, name+".died")
		}
		rw.WriteHeader(http.StatusCreated)
	}, func(w *world) {
		if m.early {
			if err := os.Truncate(w.firstFile(), 8<<20); err != nil {
				t.Fatal(err)
			}
		}
		w.method(m.method)
		if m.way == byKey {
			w.Idempotency = keys
		}
		w.Limits.InFlight, w.Attempts, w.Timeout = 1, m.attempts, 5*time.Second
		w.GiveUpAfter, w.FollowTo = 5*time.Minute, m.follow
		w.Header = http.Header{"Connection": {"close"}}
		if m.rule != "" {
			test.OK(t, w.Answers.Add(m.effect, m.rule))
		}
		w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if m.dial != nil && m.handled >= first && m.failed < m.times {
				m.failed++
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: m.dial}
			}
			return w.net.DialContext(ctx, network, addr)
		}
		ctx, stop := context.WithCancelCause(w.Context())
		defer stop(nil)
		if m.stops {
			time.AfterFunc(time.Second, func() { stop(&exit.Signal{Signal: os.Interrupt}) })
		}
		if m.dies {
			w.journal(name)
		}
		s = w.runUntil(ctx, ctx)
		if m.dies {
			w.journal(name + ".died")
			s = w.run()
		}
	})
	return s
}

// [repeat] [delivered] Each cell of outcomes.md is true.
func TestOutcomes(t *testing.T) {
	alike := map[string]bool{}
	for i, row := range outcomeTable() {
		for way, methods := range map[sending][]string{
			byPut: {"PUT", "DELETE"}, byKey: {"POST", "PATCH"}, byTrust: {"POST", "PATCH",
				"APPEND"},
		} {
			method := methods[i%len(methods)]
			t.Run(fmt.Sprintf("%s/%v by %s", row.event, way, method), func(t *testing.T) {
				race.Few(t, i)
				t.Parallel()
				checkOutcome(t, meeting{event: eventOf(t, row.event), way: way, method: method},
					row.of(way))
			})
		}
		_, event, _ := strings.Cut(row.event, " ")
		if event += row.alike; row.alike == "" || alike[event] {
			continue
		}
		alike[event] = true
		t.Run(row.event+"/all alike", func(t *testing.T) {
			t.Parallel()
			m := meeting{event: eventOf(t, row.event), method: "PUT", files: 40, attempts: 8,
				times: math.MaxInt}
			if s := m.run(t); strconv.Itoa(s.ExitStatus) != row.alike {
				t.Errorf("exit status %d, want %s\n%s", s.ExitStatus, row.alike, errorsOf(s))
			}
		})
	}
}

func checkOutcome(t *testing.T, m meeting, cell string) {
	m.files, m.times, m.attempts = 1, 1, 1
	requests := 1
	switch {
	case m.later:
		m.files, m.times, m.attempts, requests = 2, 6, 3, 2
	case m.twice && m.way != byTrust:
		m.times, m.attempts, requests = 2, 2, 2
	}
	switch cell {
	case "again":
		m.check(t, "delivered", m.files+m.times)
	case "again, an attempt":
		last := m
		last.check(t, "failed", 1)
		m.attempts = 2
		m.check(t, "delivered", 2)
	default:
		m.check(t, cell, requests)
	}
}

// check does the run, and checks what becomes of the last file and how many requests there are.
func (m *meeting) check(t *testing.T, want string, requests int) {
	t.Helper()
	s := m.run(t)
	got := map[string]int64{"delivered": s.Items.Delivered - int64(m.files-1),
		"failed":  s.Items.Failed,
		"unknown": s.Items.Unknown, "deferred": s.Items.Deferred}
	text := errorsOf(s)
	if want == "failed" && strings.Contains(text,
		"another request with this idempotency key may have been accepted") {
		want = "unknown" // since it may be this file that has the key
	}
	if got[want] != 1 || m.handled+m.failed != requests {
		t.Errorf("%+v after %d requests, want it %s after %d\n%s", s.Items, m.handled+m.failed,
			want, requests, text)
	}
	if q := s.Requests; q.Accepted != s.Items.Delivered || q.Accepted == 0 && m.status >= 500 &&
		q.Waste != 1 {
		t.Errorf("%+v of %+v", s.Items, q)
	}
	switch {
	case want == "delivered":
		if text != "" || s.ExitStatus != exit.Delivered {
			t.Errorf("exit status %d, and it says %q", s.ExitStatus, text)
		}
	case s.ExitStatus == exit.Delivered || !strings.Contains(text, m.says):
		t.Errorf("exit status %d, and it does not say %q: %s", s.ExitStatus, m.says, text)
	case want == "unknown" && !m.stops && !strings.Contains(text, "may have ") &&
		!strings.Contains(text, "what the server has may be from an attempt before"):
		t.Errorf("it does not say that it may have arrived: %s", text)
	}
}

// A file of which it is not known whether it arrived has a note that says so, whatever is to be
// done with it.
func TestWhatMayHaveArrived(t *testing.T) {
	const may = "an attempt may have been accepted"
	for _, c := range []struct {
		status int
		wait   []string
		want   item.Fate
		note   string
	}{
		{500, nil, item.Failed, may},
		{404, nil, item.Failed, ""},
		{502, []string{"Retry-After", "7200"}, item.Deferred, may},
		{503, []string{"Retry-After", "7200"}, item.Deferred, ""},
	} {
		onFakeTime(t, 1, answering(c.status, c.wait...), func(w *world) {
			lines := w.results()
			w.Attempts, w.MaxWait = 1, time.Hour
			w.run()
			if got := lines(); len(got) != 1 || got[0].Status != c.want || got[0].Note != c.note {
				t.Errorf("%d: %+v; want %s, note %q", c.status, got, c.want, c.note)
			}
		})
	}
}
