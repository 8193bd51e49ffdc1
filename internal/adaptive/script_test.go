package adaptive

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/adaptive/quota"
	"github.com/penstock/penstock/internal/seconds"
)

// TestScripts runs the scripts in testdata/scripts. A line is an event and, after a bar, how the
// Controller stands then. The first event is
//
//	limits [rate=R] [inflight=N] [fixed]
//
// and the others, each at its instant, or at "+D" so long after the last one,
//
//	send                  as many as may go now
//	send N                that many, allowed or not
//	ok 1-4, 503 2, all …  these requests have ended: ok, 429, 503, 504, 500, other
//	landed 1-4            their answers, which were "held", are read
//	trips N D             N times over: send, and D later all is well; 4x1s for D:
//	                      four threads of a second each, who share what is sent
//	resend N              N is sent once more by net/http
//	probe                 time passes until one may go that was not allowed to; it goes
//	flow D L [R/B] [after=D]  all that may go goes for a time, each takes so long; of a
//	                      server with a token bucket, where a 429 may say when
//	upload D SIZE EACH [LINK] [unknown]  all that may go goes for a time, with bodies of
//	                      that size, of which each has so many bytes a second and all
//	                      together no more than LINK; they report it every 50 ms,
//	                      but perhaps not of the size
//	look                  nothing happens
//	expect NAME=VALUE …   how the controller stands now, as the script expects it:
//	                      exactly, or LOW..HIGH, of which one may be missing; "-" is none. Without
//	                      an instant. See script.value
//	limits …              set anew
//
// Requests are numbered in the order they were sent. How they ended may have
//
//	latency=D    instead of the time since they were sent
//	server=D     the part of it after the body
//	bytes=N      of the body
//	after=D      Retry-After
//	quota=L/R/N/W  left, until the reset, of how many, in how long; "-": not told; repeatable
//	allow=N      requests at once
//	held         the answer is not read yet
//
// Time zero is midnight.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts in testdata/scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("want\n%s\ngot\n%s", data, got)
			}
		})
	}
}

var update = flag.Bool("update", false, "rewrite the scripts in testdata")

var signalNames = map[string]Signal{"ok": SignalSuccess, "429": SignalThrottled,
	"503": SignalOverloaded, "504": SignalTimedOut, "500": SignalFailed, "other": SignalIgnored}

// A script is one run of a Controller.
type script struct {
	t     *testing.T
	c     *Controller
	begin time.Time
	now   time.Time
	last  time.Time         // when a request left
	out   map[int64]*Ticket // sent, and not yet ended
	read  map[int64]bool    // ended, and not yet landed
	pause time.Time
	by    string

	// Of flow.
	server  *tokens // if nil, it takes all
	sent    int
	refused int
	replies map[int64]reply

	bodies map[int64]int64 // of upload: what was acknowledged
}

// A reply is on its way.
type reply struct {
	at     time.Time
	signal Signal
}

func runScript(t *testing.T, text string) string {
	s := &script{t: t, begin: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), out: map[int64]*Ticket{},
		read: map[int64]bool{}, replies: map[int64]reply{}, bodies: map[int64]int64{}}
	s.now = s.begin
	var events, states []string
	width := 0
	for line := range strings.Lines(text) {
		event, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		event = strings.TrimRight(event, " ")
		state := ""
		if want, ok := strings.CutPrefix(event, "expect "); ok {
			s.expect(want)
		} else if event != "" && event[0] != '#' {
			state = s.event(event)
			width = max(width, len(event))
		}
		events, states = append(events, event), append(states, state)
	}
	var out strings.Builder
	for i, event := range events {
		if states[i] != "" {
			event = fmt.Sprintf("%-*s | %s", width, event, states[i])
		}
		out.WriteString(event + "\n")
	}
	return out.String()
}

func (s *script) event(line string) string {
	f := strings.Fields(line)
	if f[0] == "limits" {
		s.c = New(s.limits(f[1:]), s.now)
		return s.state()
	}
	if after, ok := strings.CutPrefix(f[0], "+"); ok {
		s.now = s.now.Add(s.duration(after))
	} else {
		s.now = s.begin.Add(s.duration(f[0]))
	}
	verb, args := f[1], f[2:]
	switch verb {
	case "limits":
		s.c.SetLimits(s.limits(args), s.now)
	case "look":
	case "send":
		if len(args) > 0 {
			for range s.number(args[0]) {
				s.send()
			}
		} else {
			s.sendAll()
		}
	case "resend":
		t := s.out[int64(s.number(args[0]))]
		s.c.Recall(t, len(args) > 1, s.now)
		s.c.Landed()
		s.c.Resent(t, s.now)
		s.last = s.now
	case "trips":
		for range s.number(args[0]) {
			s.sendAll()
			s.now = s.now.Add(s.trip(args[1]))
			s.end(SignalSuccess, append([]string{"all"}, args[2:]...))
		}
	case "probe":
		s.now = s.next()
		s.sendAll()
	case "flow":
		s.flow(args)
		return s.state() + fmt.Sprintf("; %d sent, %d refused", s.sent, s.refused)
	case "upload":
		s.upload(args)
	case "landed":
		for _, n := range s.these(args[0], slices.Sorted(maps.Keys(s.read))) {
			delete(s.read, n)
			s.c.Landed()
		}
	default:
		signal, ok := signalNames[verb]
		if !ok {
			s.t.Fatalf("unknown event %q", verb)
		}
		s.end(signal, args)
	}
	return s.state()
}

// sendAll sends what an upstream would let go, and returns their numbers.
func (s *script) sendAll() (numbers []int64) {
	for !s.next().After(s.now) {
		numbers = append(numbers, s.send())
	}
	return numbers
}

// next is when the next request may go; never, if something must end before.
func (s *script) next() time.Time {
	next, c := s.now, s.c
	if c.hold.on() && c.hold.next.IsZero() || !c.hold.on() && c.places >= c.room(s.now) {
		return s.begin.Add(math.MaxInt64)
	}
	if c.hold.on() && c.hold.next.After(next) {
		next = c.hold.next
	}
	if s.pause.After(next) {
		next = s.pause
	}
	if r := c.pace.Rate(s.now); !math.IsInf(r, 1) && c.sequence > 0 {
		if due := s.last.Add(seconds.Duration(1 / r)); due.After(next) {
			next = due
		}
	}
	return next
}

func (s *script) send() int64 {
	t := s.c.Sent(s.now)
	s.last = s.now
	s.out[t.Number] = &t
	return t.Number
}

// A tokens is a server's token bucket.
type tokens struct {
	rate, burst, level float64
	last               time.Time
}

func (b *tokens) take(now time.Time) bool {
	b.level = min(b.burst, b.level+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// flow lets time pass in which there is always somebody who wants to send.
func (s *script) flow(args []string) {
	end, latency, after := s.now.Add(s.duration(args[0])), s.duration(args[1]), ""
	for _, arg := range args[2:] {
		if r, b, ok := strings.Cut(arg, "/"); ok {
			s.server = &tokens{rate: s.float(r), burst: s.float(b), level: s.float(b), last: s.now}
		} else {
			after = arg
		}
	}
	s.sent, s.refused = 0, 0
	for {
		for _, n := range s.sendAll() {
			s.sent++
			s.replies[n] = reply{s.now.Add(latency), SignalSuccess}
			if s.server != nil && !s.server.take(s.now) {
				s.refused++
				s.replies[n] = reply{s.now.Add(time.Millisecond), SignalThrottled}
			}
		}
		next, who := s.next(), int64(0)
		for _, n := range slices.Sorted(maps.Keys(s.replies)) {
			if at := s.replies[n].at; at.Before(next) || who == 0 && at.Equal(next) {
				next, who = at, n
			}
		}
		if next.After(end) {
			s.now = end
			return
		}
		s.now = next
		if who != 0 {
			args := []string{fmt.Sprint(who)}
			if after != "" && s.replies[who].signal == SignalThrottled {
				args = append(args, after)
			}
			s.end(s.replies[who].signal, args)
		}
	}
}

// upload lets time pass in which there are always bodies to send.
func (s *script) upload(args []string) {
	end, size, each, link := s.now.Add(s.duration(args[0])), int64(s.float(args[1])),
		s.float(args[2]), math.Inf(1)
	told := size
	for _, arg := range args[3:] {
		if arg == "unknown" {
			told = -1
		} else {
			link = s.float(arg)
		}
	}
	const step = 50 * time.Millisecond
	for s.now.Before(end) {
		s.sendAll()
		s.now = s.now.Add(step)
		moved := int64(min(each, link/float64(len(s.out))) * step.Seconds())
		for _, n := range slices.Sorted(maps.Keys(s.out)) {
			if s.bodies[n] += moved; s.bodies[n] < size {
				s.c.Progress(*s.out[n], s.bodies[n], told, s.now)
			} else {
				s.end(SignalSuccess, []string{fmt.Sprint(n), "server=1ms",
					fmt.Sprintf("bytes=%d", size)})
			}
		}
	}
}

func (s *script) end(signal Signal, args []string) {
	f := Sample{Signal: signal}
	var latency time.Duration
	held := false
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "latency":
			latency = s.duration(value)
		case "server":
			f.Server = s.duration(value)
		case "bytes":
			f.Bytes = int64(s.number(value))
		case "after":
			f.RetryAt, f.Source = s.now.Add(s.duration(value)), "header"
		case "quota":
			f.Quotas = append(f.Quotas, s.quota(value))
		case "allow":
			f.InFlight = s.number(value)
		case "held":
			held = true
		default:
			s.t.Fatalf("unknown %q", arg)
		}
	}
	for _, n := range s.these(args[0], slices.Sorted(maps.Keys(s.out))) {
		t := s.out[n]
		if t == nil {
			s.t.Fatalf("%s: request %d is not in flight: %s", s.at(s.now), n, s.state())
		}
		delete(s.out, n)
		delete(s.replies, n)
		if f.Latency = latency; latency == 0 {
			f.Latency = s.now.Sub(t.At)
		}
		if p := s.c.Done(*t, f, s.now); p.Until.After(s.now) && p.Until.After(s.pause) {
			s.pause, s.by = p.Until, p.Source
		}
		if held {
			s.read[n] = true
		} else {
			s.c.Landed()
		}
	}
}

func (s *script) quota(text string) quota.Allowance {
	f := strings.Split(text, "/")
	count := func(i int) int64 {
		if i >= len(f) || f[i] == "-" {
			return -1
		}
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	span := func(i int) time.Duration {
		if i >= len(f) || f[i] == "-" {
			return -1
		}
		return s.duration(f[i])
	}
	return quota.Allowance{Remaining: count(0), Reset: span(1), Limit: count(2), Window: span(3)}
}

// these reads which requests are meant.
func (s *script) these(text string, all []int64) []int64 {
	if text == "all" {
		return all
	}
	from, to, many := strings.Cut(text, "-")
	if !many {
		to = from
	}
	var n []int64
	for i := s.number(from); i <= s.number(to); i++ {
		n = append(n, int64(i))
	}
	return n
}

func (s *script) limits(args []string) (l Limits) {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "rate":
			l.Rate = s.float(value)
		case "inflight":
			l.InFlight = s.number(value)
		case "fixed":
			l.Fixed = true
		default:
			s.t.Fatalf("unknown limit %q", arg)
		}
	}
	return l
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *script) trip(text string) time.Duration {
	threads, each, ok := strings.Cut(text, "x")
	if !ok {
		return s.duration(text)
	}
	one := s.duration(each)
	return max(one, one*time.Duration(len(s.out))/time.Duration(s.number(threads)))
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) float(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *script) at(t time.Time) string { return t.Sub(s.begin).Round(time.Millisecond).String() }

// state tells all that people or the bucket are told.
func (s *script) state() string {
	c := s.c
	text := fmt.Sprintf("%-8s %s", s.at(s.now), Phases[c.phase])
	if room := c.room(s.now); room == math.MaxInt {
		text += ", no limit"
	} else if text += fmt.Sprintf(", limit %.4g", c.limit); room != int(c.limit) {
		text += fmt.Sprintf(", room %d", room)
	}
	if r := c.pace.Rate(s.now); !math.IsInf(r, 1) {
		text += fmt.Sprintf(", rate %.4g", r)
	}
	if len(s.out) > 0 {
		text += ", " + ranges(s.out) + " in flight"
	}
	if len(s.read) > 0 {
		text += ", " + ranges(s.read) + " read"
	}
	if c.inFlight != len(s.out) || c.places != len(s.out)+len(s.read) {
		s.t.Errorf("%s: %d in flight and %d places, want %d and %d", text, c.inFlight, c.places,
			len(s.out), len(s.out)+len(s.read))
	}
	if b := c.flow.BytesPerSecond(); b > 0 {
		text += fmt.Sprintf(", %.4g B/s", b)
	}
	if s.pause.After(s.now) {
		text += fmt.Sprintf(", paused to %s", s.at(s.pause))
		if s.by != "" {
			text += " by " + s.by
		}
	}
	switch {
	case c.hold.on() && c.hold.probe != 0:
		text += ", probing"
	case c.hold.on() && c.hold.next.IsZero():
		text += ", no probe"
	case c.hold.on():
		text += ", probe at " + s.at(c.hold.next)
	}
	return text + " (" + c.reason + ")"
}

// expect fails the test unless the controller stands as it is said to.
func (s *script) expect(want string) {
	for _, field := range strings.Fields(want) {
		name, want, _ := strings.Cut(field, "=")
		if got := s.value(name); got != want && !s.between(got, want) {
			s.t.Errorf("%s: %s is %s, want %s", s.at(s.now), name, got, want)
		}
	}
}

// between reports whether a value is within a range.
func (s *script) between(got, want string) bool {
	low, high, ok := strings.Cut(want, "..")
	if !ok || got == "-" {
		return false
	}
	number := func(text string) float64 {
		if d, err := time.ParseDuration(text); err == nil {
			return d.Seconds()
		}
		return s.float(text)
	}
	return (low == "" || number(got) >= number(low)) && (high == "" || number(got) <= number(high))
}

// value returns what a script may expect.
func (s *script) value(name string) string {
	c, o := s.c, s.c.Orders(s.now)
	number := func(v float64) string {
		if math.IsInf(v, 1) || v >= boundless {
			return "-"
		}
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	instant := func(at time.Time) string {
		if at.Before(s.now) {
			return "-"
		}
		return s.at(at)
	}
	switch name {
	case "phase": // with hyphens for spaces
		return strings.ReplaceAll(Phases[c.phase], " ", "-")
	case "reason":
		return c.reason
	case "now":
		return s.at(s.now)
	case "limit": // of requests in flight
		return number(c.limit)
	case "room": // what is left of that for the moment
		return number(float64(o.Room))
	case "rate": // a second
		return number(o.Rate)
	case "paused": // until
		if !s.pause.After(s.now) {
			return "-"
		}
		return s.at(s.pause)
	case "pause": // for how long
		return max(s.pause.Sub(s.now), 0).String()
	case "probe": // when it may go; "-" while one is under way, or none is needed
		if c.hold.probe != 0 {
			return "-"
		}
		return instant(c.hold.next)
	case "wait": // until then
		return max(c.hold.next.Sub(s.now), 0).String()
	case "flying": // requests in flight
		return strconv.Itoa(c.inFlight)
	case "bytes": // a second
		return number(c.flow.BytesPerSecond())
	case "sent", "refused": // in the last flow
		return strconv.Itoa(map[string]int{"sent": s.sent, "refused": s.refused}[name])
	}
	s.t.Fatalf("unknown value %q", name)
	return ""
}

// ranges writes numbers as in "1-4 7".
func ranges[T any](set map[int64]T) string {
	var text []string
	n := slices.Sorted(maps.Keys(set))
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i == j {
			text = append(text, fmt.Sprint(n[i]))
		} else {
			text = append(text, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(text, " ")
}

// A drain that is under way does not return to more than a new ceiling.
func TestControllerCeilingInDrain(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := New(Limits{}, now)
	c.starting, c.growth.cap, c.limit, c.drain.limit = false, 30, 4.55, 7
	c.SetLimits(Limits{InFlight: 5}, now)
	for range 10 {
		var all []Ticket
		for c.places < c.room(now) {
			all = append(all, c.Sent(now))
		}
		if len(all) > 5 {
			t.Fatalf("%d in flight, want at most 5", len(all))
		}
		now = now.Add(10 * ms)
		for _, one := range all {
			c.Done(one, Sample{Signal: SignalSuccess, Latency: 10 * ms}, now)
			c.Landed()
		}
	}
}

const ms = time.Millisecond
