package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// A counter is a server that several processes send to. It takes everything, and keeps when each
// request arrived, and from which process.
type counter struct {
	URL   string
	takes time.Duration // for each request

	mu       sync.Mutex
	arrivals []arrival // in order
	accepted map[string]int
	inFlight int
	most     int // in flight
	refuse   int // the next request is refused for so many seconds, if above zero
	refused  time.Time
	stalls   []stalled

	// What it takes in a second, with so many at once; if zero, everything. The tokens are those
	// that are left.
	rate, burst float64
	tokens      float64
	filled      time.Time
	over        []time.Time // requests that it refused for that
}

// A stalled is a time for which the machine kept the test itself waiting. What arrived meanwhile is
// counted when it is over, and a window has so much more than was sent in it.
type stalled struct {
	until time.Time
	lasts time.Duration
}

// An arrival is a request of one process.
type arrival struct {
	at   time.Time
	host string
}

func startCounter(t *testing.T, takes time.Duration) *counter {
	t.Helper()
	c := &counter{takes: takes, accepted: map[string]int{}}
	s := httptest.NewServer(c)
	c.URL = s.URL
	t.Cleanup(s.Close)
	go c.watch(t.Context())
	return c
}

// watch notes the stalls.
func (c *counter) watch(ctx context.Context) {
	for last := time.Now(); ctx.Err() == nil; {
		const nap = time.Millisecond
		time.Sleep(nap)
		now := time.Now()
		if lasts := now.Sub(last) - nap; lasts > nap {
			c.mu.Lock()
			c.stalls = append(c.stalls, stalled{now, lasts})
			c.mu.Unlock()
		}
		last = now
	}
}

// stalled returns the longest stall between two instants.
func (c *counter) stalled(from, to time.Time) (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stalls {
		if s.until.After(from) && s.until.Add(-s.lasts).Before(to) {
			longest = max(longest, s.lasts)
		}
	}
	return longest
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wait := c.arrive(r.Header.Get("X-Member")); wait != 0 {
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	time.Sleep(c.takes)
	c.mu.Lock()
	c.accepted[r.URL.Path]++
	c.inFlight--
	c.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

// arrive counts a request, and returns for how many seconds it is refused; -1 if that is not said.
func (c *counter) arrive(host string) (wait int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.arrivals = append(c.arrivals, arrival{now, host})
	if wait = c.refuse; wait > 0 {
		c.refuse, c.refused = 0, now
		return wait
	}
	if c.rate > 0 {
		c.tokens = min(c.burst, c.tokens+now.Sub(c.filled).Seconds()*c.rate)
		c.filled = now
		if c.tokens < 1 {
			c.over = append(c.over, now)
			return -1
		}
		c.tokens--
	}
	c.inFlight++
	c.most = max(c.most, c.inFlight)
	return 0
}

// atOnce returns how many requests were in flight together at the most.
func (c *counter) atOnce() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// items returns how often each was accepted.
func (c *counter) items() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.accepted)
}

// refuseNext has it ask the process that sends next to wait.
func (c *counter) refuseNext(seconds int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = seconds
}

func (c *counter) refusedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// since returns the arrivals from one instant to another.
func (c *counter) between(from, to time.Time) (all []arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.arrivals {
		if !a.at.Before(from) && a.at.Before(to) {
			all = append(all, a)
		}
	}
	return all
}

// count is how many arrivals there were.
func (c *counter) count(from, to time.Time) int { return len(c.between(from, to)) }

// windows returns the fewest and the most arrivals in any window of that length between two
// instants.
func (c *counter) windows(from, to time.Time, length time.Duration) (fewest, most int) {
	all := c.between(from, to)
	first := 0
	for i, a := range all {
		for a.at.Sub(all[first].at) >= length {
			first++
		}
		most = max(most, i+1-first)
	}
	// A window with the fewest begins just after an arrival, or at the start.
	fewest = len(all)
	starts := []time.Time{from}
	for _, a := range all {
		starts = append(starts, a.at.Add(1))
	}
	last := 0
	for i, start := range starts {
		if start.Add(length).After(to) {
			break
		}
		for last < len(all) && all[last].at.Before(start.Add(length)) {
			last++
		}
		fewest = min(fewest, last-i)
	}
	return fewest, most
}

// course returns how many arrivals there were in each step.
func (c *counter) course(from, to time.Time, step time.Duration) (all []int) {
	for ; from.Before(to); from = from.Add(step) {
		all = append(all, c.count(from, from.Add(step)))
	}
	return all
}

// refusals returns how many requests were refused because there were too many.
func (c *counter) refusals(from, to time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.over {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// hosts returns how many arrivals each process had.
func (c *counter) hosts(from, to time.Time) map[string]int {
	n := map[string]int{}
	for _, a := range c.between(from, to) {
		n[a.host]++
	}
	return n
}

// quotaName is that of the quota in all tests: each has a Redis of its own.
const quotaName = "/0/partner"

// A fleet is several processes that share a quota.
type fleet struct {
	*counter
	t       *testing.T
	url     string // of the quota; empty: they share nothing
	args    []string
	env     []string // besides that of the test
	members []*member
}

// A member is one of them.
type member struct {
	name  string
	cmd   *exec.Cmd
	said  bytes.Buffer
	ended chan struct{}
}

// start runs a process that has so many items to send, until it is done or the test ends.
func (f *fleet) start(name string, items int, args ...string) *member {
	f.t.Helper()
	var lines strings.Builder
	for i := range items {
		fmt.Fprintf(&lines, `{"key":"%s-%d","body":"x"}`+"\n", name, i)
	}
	manifest := filepath.Join(f.t.TempDir(), name+".ndjson")
	test.OK(f.t, os.WriteFile(manifest, []byte(lines.String()), 0o600))
	return f.feed(name, manifest, args...)
}

// feed runs a process that sends the items of a manifest.
func (f *fleet) feed(name, manifest string, args ...string) *member {
	f.t.Helper()
	var shared []string
	if f.url != "" {
		shared = []string{"--quota-from", f.url}
	}
	m := &member{name: name, ended: make(chan struct{})}
	m.cmd = command(f.t, slices.Concat([]string{"--to", f.URL + "/{key}", "--manifest", manifest,
		"-H", "X-Member: " + name, "--stop-timeout", "2s"}, shared, f.args, args)...)
	m.cmd.Stdout, m.cmd.Stderr = &m.said, &m.said
	m.cmd.Env = append(m.cmd.Env, f.env...)
	if manifest == "-" {
		m.cmd.Stdin = f.slowly(name)
	}
	test.OK(f.t, m.cmd.Start())
	go func() {
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	f.members = append(f.members, m)
	f.t.Cleanup(func() {
		m.stop()
		if f.t.Failed() || testing.Verbose() {
			f.t.Logf("%s, exit status %d:\n%s", name, m.cmd.ProcessState.ExitCode(),
				m.said.String())
		}
	})
	return m
}

// slowly returns lines of a manifest, of which there are ten a second.
func (f *fleet) slowly(name string) io.Reader {
	r, w, err := os.Pipe()
	test.OK(f.t, err)
	f.t.Cleanup(func() { r.Close() })
	ctx := f.t.Context()
	go func() {
		defer w.Close()
		ticker := time.NewTicker(time.Second / 10)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if _, err := fmt.Fprintf(w, `{"key":"%s-%d","body":"x"}`+"\n", name, i); err != nil {
				return
			}
		}
	}()
	return r
}

// stop ends it in good order.
func (m *member) stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.ended
}

func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// settled waits until all members have sent something, and a while longer, and returns the instant.
func (f *fleet) settled(longer time.Duration) time.Time {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		sent := f.hosts(time.Time{}, time.Now())
		if len(sent) == len(f.members) {
			break
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("after 30 s these have sent something: %v", sent)
		}
	}
	time.Sleep(longer)
	return time.Now()
}

// ratio returns the largest number by the smallest.
func ratio(n map[string]int) float64 {
	all := slices.Collect(maps.Values(n))
	return float64(slices.Max(all)) / float64(max(1, slices.Min(all)))
}

// jain is Jain's index of fairness: 1 if all have as much.
func jain(n map[string]int) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range n {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	return sum * sum / (float64(len(n)) * squares)
}

// startFleet returns a fleet without a member yet, whose quota is in a Redis of its own.
func startFleet(t *testing.T, takes time.Duration, args ...string) (*fleet, *servers.Redis) {
	t.Helper()
	redis := servers.StartRedis(t, servers.RedisConfig{})
	f := &fleet{counter: startCounter(t, takes), t: t, url: redis.URL + quotaName, args: args}
	return f, redis
}

// A partition is a way to a server that can be cut: then it takes connections and bytes, and passes
// nothing on.
type partition struct {
	addr string
	mu   sync.Mutex
	open chan struct{} // closed while bytes pass
}

func startPartition(t *testing.T, to string) *partition {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	p := &partition{addr: l.Addr().String()}
	p.heal()
	var conns sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		l.Close()
		conns.Wait()
	})
	pass := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		b := make([]byte, 16<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case <-p.opened():
			case <-ended:
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
	conns.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				here.Close()
				continue
			}
			conns.Go(func() { pass(there, here) })
			conns.Go(func() { pass(here, there) })
			conns.Go(func() { // its end breaks off what is left
				<-ended
				here.Close()
				there.Close()
			})
		}
	})
	return p
}

func (p *partition) opened() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func (p *partition) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *partition) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != nil {
		close(p.open)
		return
	}
	p.open = make(chan struct{})
	close(p.open)
}
