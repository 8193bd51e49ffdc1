package retry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An account, or a method, whose quota is used up waits for it, whatever others are accepted meanwhile.
func TestQuotaOfOneKindIsNotBlamed(t *testing.T) {
	apiKey := func(r *http.Request) bool { return r.Header.Get("X-Api-Key") == "A" }
	put := func(r *http.Request) bool { return r.Method == "PUT" }
	for _, c := range []struct {
		name   string
		over   func(*http.Request) bool
		status int
		after  string
		key    func(*http.Request) string
		others func(*http.Request) // what tells the others from this one
	}{
		{"two API keys, Retry-After", apiKey, 429, "Retry-After: 10", nil, func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"two API keys, no Retry-After", apiKey, 429, "", nil, func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"two API keys, 503", apiKey, 503, "", nil, func(r *http.Request) { r.Header.Set("X-Api-Key", "B") }},
		{"PUT and GET, Retry-After", put, 429, "Retry-After: 30", nil, func(r *http.Request) { r.Method = "GET" }},
		{"PUT and GET, no Retry-After", put, 429, "", nil, func(r *http.Request) { r.Method = "GET" }},
		{"the user's kinds", func(r *http.Request) bool { return r.URL.Path == "/up/f.bin" }, 429, "Retry-After: 10",
			func(r *http.Request) string { return r.URL.Path }, func(r *http.Request) { r.URL.Path = "/down" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const quota = 5 * time.Minute
				start := time.Now()
				client := &Client{Key: c.key, HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
					time.Sleep(10 * time.Millisecond)
					if c.over(r) && time.Since(start) < quota {
						return answer(c.status, c.after), nil
					}
					return answer(201, ""), nil
				})}}
				done := make(chan struct{})
				var others sync.WaitGroup
				others.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
							other := request(t, "PUT", "x")
							other.Header.Set("X-Api-Key", "A")
							c.others(other)
							check(t, "outcome of another", end(t, client, other).Outcome, Delivered)
						}
					}
				})
				mine := request(t, "PUT", "x")
				mine.Header.Set("X-Api-Key", "A")
				r := end(t, client, mine)
				close(done)
				others.Wait()
				check(t, "outcome", r.Outcome, Delivered)
				if took := time.Since(start); took < quota || took > quota+2*time.Minute {
					t.Errorf("delivered after %v", took)
				}
			})
		})
	}
}

// The same requests on one account: then it is the request. A Retry-After makes no difference.
func TestOneOfAKindIsBlamed(t *testing.T) {
	for _, after := range []string{"", "Retry-After: 10"} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
					time.Sleep(10 * time.Millisecond)
					if strings.HasPrefix(r.URL.Path, "/up/") {
						return answer(status, after), nil
					}
					return answer(201, ""), nil
				})}}
				done := make(chan struct{})
				var others sync.WaitGroup
				others.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
							other := request(t, "PUT", "x")
							other.URL.Path = "/good"
							end(t, client, other)
						}
					}
				})
				r := end(t, client, request(t, "PUT", "x"))
				close(done)
				others.Wait()
				check(t, "outcome", r.Outcome, Failed)
				check(t, "status", r.Status, status)
				// The first refusal proves nothing, nor does one after a wait so short that nothing else
				// was accepted meanwhile. Waits are random: nine to eleven tries are usual.
				if r.Attempts > 16 {
					t.Errorf("%d tries", r.Attempts)
				}
			})
		}
	}
}

// Some that are always refused hide neither behind one another nor behind the end of the others.
func TestManyOfAKindAreBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Millisecond)
			if strings.HasPrefix(r.URL.Path, "/bad") {
				return answer(503, ""), nil
			}
			return answer(201, ""), nil
		})}}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				req := request(t, "PUT", "x")
				req.URL.Path = fmt.Sprint("/bad/", i)
				check(t, "outcome", end(t, client, req).Outcome, Failed)
			})
		}
		for i := range 200 { // in two seconds, others are over after that
			req := request(t, "PUT", "x")
			req.URL.Path = fmt.Sprint("/good/", i)
			check(t, "outcome", end(t, client, req).Outcome, Delivered)
		}
		all.Wait()
	})
}

// What was in flight when an outage began was accepted after the first refusals. That is no
// evidence against those that were refused, however few are left.
func TestOutageIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			if since := time.Since(start); since >= time.Second && since < 70*time.Second {
				return answer(503, ""), nil
			}
			time.Sleep(500 * time.Millisecond)
			return answer(201, ""), nil
		})}}
		var all sync.WaitGroup
		for i := range 103 { // the last three are refused, while fifty are in flight
			all.Go(func() { check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome, Delivered) })
			if i >= 100 {
				continue
			}
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
	})
}

// What counts as a failure of the request, step by step.
func TestWeigh(t *testing.T) {
	twenty := strings.Repeat("a", 20)
	for _, c := range []struct {
		name  string
		steps string
		want  string // of each refusal of the request, whether it counts
	}{
		{"nobody is accepted", "r r r r", "----"},
		{"others are, each time", "r a r a r a r", "-+++"},
		{"not in between", "r a r r a r", "-+-+"},
		{"what began before", "r o r o r", "---"},
		{"those that were refused before", "r e r ae r aaaaaaaaae r aaaaaaaaaa r", "---++"},
		{"refused in another way", "r a R a R a r", "--+-"},
		{"not sent", "0 a 0 a 0", "---"},
		{"twice to blame, and nobody is left", "r a r a r r r", "-++++"},
		{"twenty others, and nobody is left", "r " + twenty + " r r r", "-+++"},
		{"in pieces", "r oooooooooo r oooooooooaa r r", "--++"},
		{"nineteen are too few", "r " + twenty[1:] + " r r r", "-+--"},
		{"one of these was refused", "r e" + twenty + " r r r", "-+--"},
		{"an outage follows", "r a r a r i r i r a r", "-++--+"},
		{"in which it is refused first", "r a r a r r i r i r", "-+++--"},
	} {
		var k kind
		var b blame
		var got strings.Builder
		for _, step := range strings.ReplaceAll(c.steps, " ", "") {
			status := 0
			switch step {
			case 'a': // another is accepted
				k.accept(k.begins(), 0)
			case 'o': // that began before the last refusal
				k.accept(k.begins()-1, 0)
			case 'e': // that was refused before
				k.accept(k.begins(), 1)
			case 'i': // another is refused
				k.refuse(new(blame), 503)
			case 'r':
				status = 503
				fallthrough
			case 'R':
				status = max(status, 429)
				fallthrough
			case '0':
				if k.refuse(&b, status) {
					got.WriteByte('+')
				} else {
					got.WriteByte('-')
				}
			}
		}
		check(t, c.name, got.String(), c.want)
	}
}

// Nor is a refusal of another sort, just before, evidence that a request is refused by itself.
func TestOutageAfterAThrottleIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		client := &Client{HTTP: &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Path == "/good":
				return answer(201, ""), nil
			case time.Since(start) > 10*time.Minute:
				return answer(201, ""), nil
			}
			if n++; n > 1 {
				return answer(503, ""), nil
			}
			return answer(429, "Retry-After: 10"), nil
		})}}
		var one sync.WaitGroup
		one.Go(func() { check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome, Delivered) })
		for range 100 { // the last before the outage
			time.Sleep(50 * time.Millisecond)
			good := request(t, "PUT", "x")
			good.URL.Path = "/good"
			check(t, "outcome", end(t, client, good).Outcome, Delivered)
		}
		one.Wait()
	})
}

// A request that was not sent is not to blame for that, whatever becomes of others.
func TestConnectionRefusedIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := play(try{err: errRefused, stage: dialling}), play(try{status: 201})
		client := &Client{Policy: Policy{Base: time.Second, Factor: 1, GiveUpAfter: time.Hour}}
		client.HTTP = &http.Client{Transport: tripFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/good" {
				return good.RoundTrip(r)
			}
			other := request(t, "PUT", "x")
			other.URL.Path = "/good"
			end(t, client, other)
			return bad.RoundTrip(r)
		})}
		check(t, "outcome", end(t, client, request(t, "PUT", "x")).Outcome, Deferred)
	})
}

func TestKinds(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	target := func(url string) func(*http.Request) {
		return func(r *http.Request) {
			other, err := http.NewRequest("PUT", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = other.URL
		}
	}
	nothing := func(*http.Request) {}
	for _, c := range []struct {
		a, b func(*http.Request)
		same bool
	}{
		{nothing, target("http://H.example:80/other?id=7"), true},
		{nothing, target("https://h.example/up/f.bin"), false},
		{nothing, func(r *http.Request) { r.Method = "GET" }, false},
		{nothing, header("Content-Type", "text/csv"), true},
		{nothing, header("Idempotency-Key", "1"), true},
		{nothing, header("Cookie", "session=1"), true},
		{header("Authorization", "Bearer aaa"), header("Authorization", "Bearer bbb"), false},
		{header("Authorization", "Bearer aaa"), header("Authorization", "Bearer aaa"), true},
		{header("Authorization", "Basic YTph"), header("Authorization", "Basic YTpi"), false},
		{header("Authorization", "aaa"), header("Authorization", "bbb"), false},
		{header("X-Api-Key", "a"), header("X-Api-Key", "b"), false},
		{header("X-Api-Key", "a"), header("X-Auth-Token", "a"), false},
		{target("http://a:b@h.example/"), target("http://c:d@h.example/"), false},
		{target("http://h.example/?api_key=a"), target("http://h.example/?api_key=b"), false},
		{header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=1"),
			header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=2"), true},
		{header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/s3, SignedHeaders=host, Signature=1"),
			header("Authorization", "AWS4-HMAC-SHA256 Credential=B/20261128/s3, SignedHeaders=host, Signature=1"), false},
		{header("Authorization", "SharedKey a:1"), header("Authorization", "SharedKey a:2"), true},
		{header("Authorization", "SharedKey a:1"), header("Authorization", "SharedKey b:1"), false},
	} {
		a, b := request(t, "PUT", "x"), request(t, "PUT", "x")
		c.a(a)
		c.b(b)
		client := new(Client)
		if same := client.kindOf(a) == client.kindOf(b); same != c.same {
			t.Errorf("%s %v and %s %v are of the same kind: %v", a.URL, a.Header, b.URL, b.Header, same)
		}
	}
}

// A program with very many accounts does not fill the memory.
func TestKindsAreBounded(t *testing.T) {
	client := &Client{Key: func(r *http.Request) string { return r.URL.Path }}
	for i := range maxKinds + 100 {
		req := request(t, "PUT", "x")
		req.URL.Path = fmt.Sprint(i)
		client.kind(client.kindOf(req))
	}
	check(t, "kinds", len(client.mu.kinds), maxKinds)
}

// A refusal for another reason is not the first of two failures.
func TestFailureAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := over(play(try{status: 429}, try{status: 500}, try{status: 201}), Policy{Attempts: 2})
		r := end(t, client, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 3)
	})
}
