package send

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/lab"
)

// A moody server stores files and fails in all the ways in which servers do. It keeps a record of
// each request, where a lab keeps one of each name.
type moody struct {
	url     string
	faults  []string      // to choose from
	share   float64       // of the requests that get one
	latency time.Duration // of an answer, at most
	once    bool          // no name may be sent again that may have been accepted
	form    bool          // bodies are forms with one file
	digest  bool          // bodies come with one
	header  string        // of the idempotency key; "" if there is none to come
	honour  bool          // a key is accepted once

	server http.Server
	mu     sync.Mutex // protects what follows
	rnd    *rand.Rand
	stored map[string]*stored // by name
	maybe  map[string]string  // names that may have been accepted, and why
	keys   map[string]*keyed
	odd    []string // requests that should not have come

	inFlight, maxInFlight int
	unheard               int64 // bodies stored whose client was told otherwise, or nothing
	requests              int64
}

// stored is what is known of a name.
type stored struct {
	last  string                     // SHA-256 of what was accepted last
	size  int                        // of that
	times map[string]int64           // by SHA-256: how often it was accepted
	keys  map[string]map[string]bool // by SHA-256: the keys that it came with
}

func newStored() *stored {
	return &stored{times: map[string]int64{}, keys: map[string]map[string]bool{}}
}

func (s *stored) add(sum string, times int64, keys ...string) {
	s.last = sum
	s.times[sum] += times
	for _, key := range keys {
		if s.keys[sum] == nil {
			s.keys[sum] = map[string]bool{}
		}
		s.keys[sum][key] = true
	}
}

// keyed is what is known of an idempotency key.
type keyed struct {
	sum     string // the name and the content that it came with
	working bool   // on the first request with it
	done    bool   // that one was accepted
}

// The faults. What follows a number is whether the body is stored all the same.
var (
	safeFaults   = []string{"408", "425", "429", "503", "503 later", "truncated", "slow"}
	unsafeFaults = []string{"500", "500 stored", "502", "502 stored", "504", "504 stored",
		"before", "in", "after", "stalled"}
)

func newMoody(seed uint64) (*moody, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &moody{
		url: "http://" + l.Addr().String(), rnd: rand.New(rand.NewPCG(seed, 1)),
		stored: map[string]*stored{}, maybe: map[string]string{}, keys: map[string]*keyed{},
	}
	m.server.Handler = m
	m.server.ErrorLog = log.New(io.Discard, "", 0)
	go m.server.Serve(l)
	return m, nil
}

func (m *moody) close() { m.server.Close() }

// idle waits until nothing is under way.
func (m *moody) idle() error {
	for range 1000 {
		m.mu.Lock()
		n := m.inFlight
		m.mu.Unlock()
		if n == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("a request does not end")
}

// forget says that a name has new content, which was not sent yet.
func (m *moody) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.maybe, name)
}

func (m *moody) oddLocked(format string, args ...any) {
	if len(m.odd) < 20 {
		m.odd = append(m.odd, fmt.Sprintf(format, args...))
	}
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := lab.Name(r.URL)
	m.mu.Lock()
	m.requests++
	m.mu.Unlock()
	if r.Method == http.MethodHead || r.Method == http.MethodGet {
		m.tell(w, name)
		return
	}
	m.mu.Lock()
	m.inFlight++
	m.maxInFlight = max(m.maxInFlight, m.inFlight)
	if why := m.maybe[name]; why != "" {
		m.oddLocked("%s %q was sent again, which may have been accepted: %s", r.Method, name, why)
	}
	fault := ""
	if m.rnd.Float64() < m.share {
		fault = m.faults[m.rnd.IntN(len(m.faults))]
	}
	pause := time.Duration(m.rnd.Int64N(int64(m.latency)))
	key := m.keys[r.Header.Get(m.header)]
	if key == nil {
		key = &keyed{}
		m.keys[r.Header.Get(m.header)] = key
	}
	if key.working && m.honour {
		fault = "409"
	} else {
		key.working = true
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			key.working = false
		}()
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.inFlight--
	}()
	m.serve(w, r, name, fault, pause)
}

func (m *moody) serve(w http.ResponseWriter, r *http.Request, name, fault string,
	pause time.Duration) {
	// Until there is an answer that says otherwise.
	m.doubt(name, "no answer: "+fault)
	word, arg, _ := strings.Cut(fault, " ")
	switch fault {
	case "before":
		reset(w)
	case "in":
		_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength/2, 1))
		reset(w)
	case "408", "409", "425", "429", "503", "503 later":
		if pause%2 == 0 {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if arg == "later" {
			w.Header().Set("Retry-After", "1")
		}
		m.forget(name)
		status, _ := strconv.Atoi(word)
		w.WriteHeader(status)
		return
	}
	sum, size, ok := m.read(r, name)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	if status, err := strconv.Atoi(word); err == nil {
		if arg == "stored" {
			m.store(r, name, sum, size, false)
		}
		w.WriteHeader(status)
		return
	}
	time.Sleep(pause)
	switch fault {
	case "slow":
		time.Sleep(3 * m.latency)
	case "stalled":
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-time.After(time.Minute):
		}
	}
	status := m.store(r, name, sum, size, fault != "after")
	switch {
	case fault == "after":
		reset(w)
	case fault == "truncated" && status == http.StatusCreated:
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "stored\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if status == http.StatusPreconditionFailed {
		m.forget(name)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status)+"\n")
}

// doubt notes that from now on a name may have been accepted.
func (m *moody) doubt(name, why string) {
	if m.once {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.maybe[name] = why
	}
}

// read returns the SHA-256 of the file that the body holds; false if the body breaks off.
func (m *moody) read(r *http.Request, name string) (sum string, size int, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", 0, false
	}
	if m.digest {
		whole := sha256.Sum256(body)
		want := "sha-256=:" + base64.StdEncoding.EncodeToString(whole[:]) + ":"
		if got := r.Header.Get("Content-Digest"); got != want {
			m.mu.Lock()
			m.oddLocked("%s %q came with Content-Digest %q, not %q", r.Method, name, got, want)
			m.mu.Unlock()
		}
	}
	if m.form {
		if body, err = part(r.Header.Get("Content-Type"), body); err != nil {
			m.mu.Lock()
			m.oddLocked("%s %q is no form: %v", r.Method, name, err)
			m.mu.Unlock()
		}
	}
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:]), len(body), true
}

// part is the file of a form.
func part(contentType string, body []byte) ([]byte, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	p, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).NextRawPart()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(p)
}

// store accepts a body, as far as its headers allow it, and returns the status to answer.
func (m *moody) store(r *http.Request, name, sum string, size int, told bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.stored[name]
	if it != nil && r.Header.Get("If-None-Match") == "*" {
		return http.StatusPreconditionFailed
	}
	key := ""
	if m.header != "" {
		if key = r.Header.Get(m.header); key == "" {
			m.oddLocked("%s %q came without a key", r.Method, name)
		}
		k := m.keys[key]
		switch {
		case k.sum == "":
			k.sum = name + " " + sum
		case k.sum != name+" "+sum:
			m.oddLocked("%s %q came with the key of another content", r.Method, name)
		case m.honour && k.done:
			return http.StatusCreated
		}
		k.done = true
	}
	if it == nil {
		it = newStored()
		m.stored[strings.Clone(name)] = it
	}
	it.add(sum, 1)
	if key != "" {
		it.add(sum, 0, key)
	}
	it.size = size
	if !told {
		m.unheard++
	}
	return http.StatusCreated
}

// tell answers HEAD and GET.
func (m *moody) tell(w http.ResponseWriter, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.stored[name]
	if it == nil {
		delete(m.maybe, name) // the caller may know better now
		w.WriteHeader(http.StatusNotFound)
		return
	}
	sum, _ := hex.DecodeString(it.last)
	w.Header().Set("Content-Length", strconv.Itoa(it.size))
	w.Header().Set("ETag", `"`+it.last+`"`)
	w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	w.WriteHeader(http.StatusOK)
}

// sofar copies what was stored, and what was odd since the last call.
func (m *moody) sofar() (map[string]*stored, []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record := map[string]*stored{}
	for name, it := range m.stored {
		c := newStored()
		for sum, n := range it.times {
			c.add(sum, n, slices.Collect(maps.Keys(it.keys[sum]))...)
		}
		c.last = it.last
		record[name] = c
	}
	odd := m.odd
	m.odd = nil
	return record, odd
}

func (m *moody) counts() (maxInFlight int, unheard int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.maxInFlight, m.unheard
}

// asked is how many requests there were.
func (m *moody) asked() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// reset breaks the connection off.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
	panic(http.ErrAbortHandler)
}
