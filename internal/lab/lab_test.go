package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http logs unsolicited answers there
	goleak.VerifyTestMain(m)
}

// A bench is a lab on fake time with a client. It is made inside a bubble.
type bench struct {
	*testing.T
	*Server
	client *http.Client
	start  time.Time
}

// newLab makes a lab of a preset, with parameters in the form of a URL query.
func newLab(t *testing.T, preset, params string) *Server {
	t.Helper()
	values, err := url.ParseQuery(params)
	test.OK(t, err)
	s, err := New(preset, values)
	test.OK(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// newBench starts a lab, and makes a client of it.
func newBench(t *testing.T, preset, params string) *bench {
	t.Helper()
	s, l := newLab(t, preset, params), memnet.Listen()
	transport := &http.Transport{DialContext: l.DialContext, MaxIdleConnsPerHost: 1000}
	b := &bench{T: t, Server: s, client: &http.Client{Transport: transport}, start: time.Now()}
	s.Start(l)
	t.Cleanup(transport.CloseIdleConnections)
	return b
}

// bubble runs do on fake time with a lab.
func bubble(t *testing.T, preset, params string, do func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { do(t, newBench(t, preset, params)) })
}

// at waits until so long after the start.
func (b *bench) at(d time.Duration) {
	b.Helper()
	if wait := time.Until(b.start.Add(d)); wait < 0 {
		b.Errorf("it is %v after the start already, want %v", time.Since(b.start), d)
	} else {
		time.Sleep(wait)
	}
}

// An answer is a whole one, or the error that stands for it.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
	after  time.Duration // since the start
}

func (b *bench) do(req *http.Request) (a answer) {
	defer func() { a.after = time.Since(b.start) }()
	resp, err := b.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body), err: err}
}

func (b *bench) request(method, path, body string) *http.Request {
	req, err := http.NewRequest(method, "http://lab"+path, strings.NewReader(body))
	test.OK(b, err)
	return req
}

func (b *bench) put(path, body string) answer {
	return b.do(b.request("PUT", path, body))
}

// many sends n requests at once and returns their answers as they were started.
func (b *bench) many(n int) []answer {
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = b.put(fmt.Sprintf("/%d", i), "x") })
		synctest.Wait() // for the order
	}
	wg.Wait()
	return answers
}

func (b *bench) want(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRecords(t *testing.T) {
	bubble(t, "strict", "rps=1000", func(t *testing.T, b *bench) {
		small, large := "hello", strings.Repeat("0123456789", 100_000)
		send := func(method, path, body, key string) {
			req := b.request(method, path, body)
			if key != "" {
				req.Header.Set("Idempotency-Key", key)
			}
			if a := b.do(req); a.status != 201 || a.err != nil || a.body == "" {
				t.Errorf("%s %s: %d %q %v", method, path, a.status, a.body, a.err)
			}
			time.Sleep(time.Second)
		}
		send("PUT", "/a/%C3%BC.txt", large, "")
		send("PUT", "/a/%C3%BC.txt", small, "")
		send("POST", "/b", small, "k2")
		send("POST", "/b", small, "k1")
		send("POST", "/b", small, "k1")
		send("POST", "/b?name=c", "", "")
		send("DELETE", "/d", "", "")
		time.Sleep(time.Millisecond)

		want := Stats{
			Preset: "strict", Requests: 7, Accepted: 7, Answered: 7,
			ByStatus: map[int]int64{201: 7}, Faults: map[string]int64{},
			Bytes:       int64(len(large) + 4*len(small)),
			MaxInFlight: 1, MaxIn1s: 1, MaxIn100ms: 1,
			Items: map[string]Item{
				"/a/ü.txt": {Size: 5, SHA256: hash(small), Times: 2,
					Contents: map[string]int64{hash(large): 1, hash(small): 1}},
				"/b":        {Size: 5, SHA256: hash(small), Times: 3, Keys: []string{"k1", "k2"}},
				"/b?name=c": {SHA256: hash(""), Times: 1},
				"/d":        {SHA256: hash(""), Times: 1},
			},
		}
		b.want("stats", b.Stats(), want)

		// Over HTTP it is the same, also now that it was asked for once.
		for range 2 {
			var got Stats
			a := b.do(b.request("GET", StatsPath, ""))
			test.OK(t, json.Unmarshal([]byte(a.body), &got))
			b.want("stats over HTTP", got, want)
		}
		b.want("verdict", b.Stats().Verdict(), []string{
			"lab strict: 7 requests, 7 accepted, 0 refused; at most 1 in any second, 1 in any " +
				"100 ms, 1 in flight",
			"lab strict: 1 file accepted more than once",
		})
	})
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Where many bodies go to one URL, each is known by its content.
func TestContents(t *testing.T) {
	bubble(t, "flaky", quiet+"&504-after=0.3&seed=4", func(t *testing.T, b *bench) {
		for i, body := range []string{"one", "one", "two", "three", "two", "one"} {
			req := b.request("POST", "/in", body)
			req.Header.Set("Idempotency-Key", fmt.Sprintf("k%d", i%4))
			b.do(req)
		}
		s := b.Stats()
		b.want("item", s.Items["/in"], Item{
			Size: 3, SHA256: hash("one"), Times: 6, Keys: []string{"k0", "k1", "k2", "k3"},
			Contents: map[string]int64{hash("one"): 3, hash("two"): 2, hash("three"): 1},
			ContentKeys: map[string][]string{hash("one"): {"k1"}, hash("two"): {"k0", "k2"},
				hash("three"): {"k3"}},
		})
		if s.Unknown != s.Faults["504-after"] || s.Unknown == 0 || s.Reused != 1 {
			t.Errorf("%+v", s)
		}
		b.want("verdict", s.Verdict(), []string{
			fmt.Sprintf("lab flaky: 6 requests, 6 accepted, %d refused; at most 6 in any "+
				"second, 6 in any 100 ms, 1 in flight", s.Refused),
			fmt.Sprintf("lab flaky: faults made: %d x 504-after; %d accepted without a whole "+
				"2xx answer; 2 files accepted more than once; "+
				"1 request with the key of another content", s.Unknown, s.Unknown),
		})
	})
}

func TestRecordOff(t *testing.T) {
	bubble(t, "strict", "record=off", func(t *testing.T, b *bench) {
		b.put("/a", "hello")
		s := b.Stats()
		if s.Accepted != 1 || s.Bytes != 5 || len(s.Items) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A body that breaks off is not stored, and leaves no answer to be counted.
func TestBrokenBody(t *testing.T) {
	bubble(t, "strict", "", func(t *testing.T, b *bench) {
		body := io.MultiReader(strings.NewReader("half"), &failing{})
		req, _ := http.NewRequest("PUT", "http://lab/x", body)
		req.ContentLength = 8
		if a := b.do(req); a.err == nil {
			t.Errorf("got status %d", a.status)
		}
		synctest.Wait()
		s := b.Stats()
		if s.Requests != 1 || s.Accepted != 0 || s.Unanswered != 1 || len(s.ByStatus) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("disk on fire") }

// A refusal does not wait for a body.
func TestRefusesAtOnce(t *testing.T) {
	bubble(t, "strict", "retry-after=7", func(t *testing.T, b *bench) {
		b.put("/a", "")
		r, w := io.Pipe()
		defer w.Close()
		req, _ := http.NewRequest("PUT", "http://lab/b", r)
		req.ContentLength = 1 << 20
		a := b.do(req)
		if a.status != 429 || a.header.Get("Retry-After") != "7" || a.after != 0 {
			t.Errorf("status %d, %v, after %v; want a 429 at once that says 7", a.status,
				a.header, a.after)
		}
	})
}

// The end of a server breaks off what is worked on and what waits.
func TestCloseBreaksOff(t *testing.T) {
	for preset, params := range map[string]string{
		"tutorial": "latency=1h", "threads": "k=1&service=1h", "cpu": "work=1h&timeout=0",
	} {
		bubble(t, preset, params, func(t *testing.T, b *bench) {
			go func() {
				b.at(time.Second)
				b.Server.Close()
			}()
			for i, a := range b.many(3) {
				if a.err == nil || a.after != time.Second {
					t.Errorf("%s: request %d: status %d, error %v after %v; want an error after 1s",
						preset, i, a.status, a.err, a.after)
				}
			}
			synctest.Wait()
			if s := b.Stats(); s.Accepted != 0 || s.Unanswered != 3 {
				t.Errorf("%s: %+v", preset, s)
			}
			b.Server.Close()
			l := memnet.Listen()
			b.Start(l)
			if _, err := l.Accept(); err == nil {
				t.Error("Start after Close left the listener open")
			}
		})
	}
	newLab(t, "strict", "").Close() // never started
}

func TestNewErrors(t *testing.T) {
	// A want that begins with "want" comes after the name of the preset and its one parameter.
	for _, tt := range []struct{ preset, params, want string }{
		{"strickt", "", `unknown preset "strickt"`},
		{"strict", "rsp=3", `unknown parameter of strict "rsp"`},
		{"strict", "rps=1&rps=2", `strict: give rps once, not 2 times`},
		{"strict", "rps=fast", `want a number of requests a second, such as 20 or 0.5`},
		{"strict", "rps=0", `want a number of requests a second, such as 20 or 0.5`},
		{"strict", "rps=NaN", `want a number of requests a second, such as 20 or 0.5`},
		{"strict", "tolerance=-1ms", `want a duration, such as 100ms or 1m30s`},
		{"strict", "retry-after=1.5", `want whole seconds, such as 2, or none`},
		{"strict", "record=maybe", `want true or false`},
		{"strict", "keys=trust", `want ignore or honour`},
		{"strict", "keys=honour&record=off",
			`strict: keys=honour needs the record: leave out record=off`},
		{"hostile", "kind=rude", `want one of ` + strings.Join(hostileKinds.names(), ", ")},
		{"hostile", "status=600", `want 200 to 599`},
		{"hostile", "size=big", `want a size, such as 32MiB`},
		{"window", "kind=leaky", `want fixed or sliding`},
		{"flaky", "stalled=1.5", `want a share from 0 to 1, such as 0.05`},
		{"flaky", "500=0.5&stalled=0.5",
			`flaky: the shares of the faults add up to 1.08: want 1 at most`},
		{"flaky", "hot-status=404", `want 429 or 500 or 502 or 503 or 504`},
		{"quota", "refusal=404", `want 429 or 503 or 502 or 509`},
		{"quota", "rate=0", `want a number above 0, such as 10 or 0.5`},
		{"cpu", "cores=0", `want a whole number of at least 1`},
		{"cpu", "sigma=-1", `want a number, 0 or more, such as 1.5`},
		{"threads", "refusal=500", `want 503 or 429`},
		{"down", "mode=404", `want refuse, hang or a status from 500 to 599`},
		{"down", "mode=gone", `want refuse, hang or a status from 500 to 599`},
		{"slow", "per-connection=maybe", `want true or false`},
		{"slow", "bandwidth=quick", `want bytes a second, such as 1MiB`},
		{"tutorial", "limit=0", `want a whole number of at least 1`},
	} {
		params, err := url.ParseQuery(tt.params)
		test.OK(t, err)
		want := "lab: " + tt.want
		if strings.HasPrefix(tt.want, "want ") {
			name, value, _ := strings.Cut(tt.params, "=")
			want = fmt.Sprintf("lab: %s: bad %s=%q: %s", tt.preset, name, value, tt.want)
		}
		s, err := New(tt.preset, params)
		if s != nil || err == nil || err.Error() != want {
			t.Errorf("%s %s: got error\n%v, want\n%s", tt.preset, tt.params, err, want)
		}
	}
}

// Every preset takes the defaults that it names.
func TestDefaults(t *testing.T) {
	for _, p := range Presets() {
		params := url.Values{}
		for _, param := range p.Params {
			params.Set(param.Name, param.Default)
			if param.Help == "" {
				t.Errorf("%s: no help for %s", p.Name, param.Name)
			}
		}
		for _, given := range []url.Values{nil, params} {
			if _, err := New(p.Name, given); err != nil {
				t.Error(err)
			}
		}
	}
}
