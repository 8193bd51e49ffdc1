package retry

import (
	"errors"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/trip"
)

func TestRedirects(t *testing.T) {
	const there = "http://h.example/there?sig=s3cr3t"
	for _, row := range []struct {
		method, body string
		status       int
		location     string
		followed     bool
	}{
		{"PUT", "data", 301, there, false},
		{"POST", "data", 302, there, false},
		{"POST", "data", 303, there, false},
		{"DELETE", "", 302, there, false}, // would become a GET
		{"GET", "data", 302, there, false},
		{"GET", "", 301, there, true},
		{"HEAD", "", 302, "/there", true},
		{"PUT", "data", 307, "http://H.example:80/there", true},
		{"POST", "data", 308, "/there", true},
		{"PUT", "data", 307, "https://h.example/there?sig=s3cr3t", false},
		{"PUT", "data", 308, "http://h.example:81/there", false},
		{"GET", "", 302, "http://other.example/there", true},
		{"HEAD", "", 307, "https://h.example/there", true},
		{"GET", "data", 307, "http://other.example/there", false},
		{"DELETE", "", 308, "http://other.example/there", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: row.status, header: "Location: " + row.location},
				try{status: 200})
			c, _ := over(s, exact)
			r := end(t, c, request(t, row.method, row.body))
			if row.followed {
				check(t, "outcome", r.Outcome, Delivered)
				check(t, "bodies", strings.Join(s.body, ""), row.body+row.body)
				check(t, "method", s.reqs[1].Method, row.method)
				return
			}
			check(t, "outcome", r.Outcome, Failed)
			check(t, "status", r.Status, row.status)
			check(t, "tries", len(s.at), 1)
			if to, _, _ := strings.Cut(row.location, "?"); !strings.Contains(r.Err.Error(),
				"redirected to "+to) {
				t.Errorf("the error does not name %s: %v", to, r.Err)
			}
		})
	}
}

// A download is led to where the file is kept, as http.Client is, without what is private to the
// first origin.
func TestDownloadFromAnotherOrigin(t *testing.T) {
	for _, standard := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 302, header: "Location: http://cdn.example/f?sig=1"},
				try{status: 503}, try{status: 200})
			if !standard {
				s.tries = append(s.tries[:2], s.tries[0], try{status: 200})
			}
			c, _ := over(s, exact)
			req := request(t, "GET", "")
			req.Header = http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"k"},
				"Cookie": {"b=2"}, "Accept": {"image/png"}}
			do := c.Do
			if standard {
				do = c.StandardClient().Do
			}
			resp, err := do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
			check(t, "URL", resp.Request.URL.String(), "http://cdn.example/f?sig=1")
			for _, r := range s.reqs {
				want := 1
				if r.URL.Host == "h.example" {
					want = 4
				}
				check(t, r.URL.Host+": headers", len(r.Header), want)
			}
		})
	}
}

// What is said is why it was not followed.
func TestWhyARedirectIsNotFollowed(t *testing.T) {
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	there := "PUT http://h.example/up/f.bin: 307 Temporary Redirect: redirected to http://h.example/there"
	for _, row := range []struct {
		method, body string
		status       int
		location     string
		standard     bool
		noGetBody    bool
		check        func(*http.Request, []*http.Request) error
		want         string
	}{
		{method: "PUT", body: "x", status: 307, location: "/there", check: stop,
			want: there + ", which CheckRedirect does not follow"},
		{method: "PUT", body: "x", status: 307, location: "/there", check: stop, standard: true,
			want: there},
		{method: "PUT", body: "x", status: 307, location: "/there", noGetBody: true,
			want: there + ": the request's body cannot be sent again: set GetBody"},
		{method: "PUT", body: "x", status: 307, location: "//other.example/there",
			want: strings.Replace(there, "to http://h.", "to http://other.", 1) +
				", another origin, which is not followed: send there"},
		{method: "GET", status: 302, location: "/there", check: stop,
			want: "GET http://h.example/up/f.bin: 302 Found: redirected to http://h.example/there, which CheckRedirect does not follow"},
		{method: "GET", status: 300, location: "/there",
			want: "GET http://h.example/up/f.bin: 300 Multiple Choices: redirected to http://h.example/there"},
		{method: "PUT", body: "x", status: 302, location: "/there", check: stop,
			want: "PUT http://h.example/up/f.bin: 302 Found: redirected to http://h.example/there: following would drop the body or change the method, so send there"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, events := over(play(try{status: row.status, header: "Location: " + row.location}),
				exact)
			c.HTTP.CheckRedirect = row.check
			req := request(t, row.method, row.body)
			if row.noGetBody {
				req.GetBody = nil
			}
			do := c.Do
			if row.standard {
				do = c.StandardClient().Do
			}
			resp, err := do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			check(t, "error", (*events)[0].Err.Error(), row.want)
		})
	}
}

func TestEndlessRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 307, header: "Location: /round"})
		c, _ := over(s, exact)
		r := end(t, c, request(t, "PUT", "x"))
		check(t, "outcome", r.Outcome, Failed)
		check(t, "requests", len(s.at), trip.MaxRedirects)
		check(t, "error", r.Err.Error(), "PUT http://h.example/up/f.bin: 307 Temporary Redirect: redirected to http://h.example/round, the 10th redirect in a row: no more are followed")

		// Through a StandardClient each hop is a call of its own.
		s = play(try{status: 307, header: "Location: /round"})
		c, _ = over(s, exact)
		resp, err := c.StandardClient().Do(request(t, "PUT", "x"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		check(t, "requests", len(s.at), trip.MaxRedirects)
		if text := OutcomeOf(resp, err).Err.Error(); !strings.Contains(text,
			"the 10th redirect in a row") {
			t.Errorf("error: %s", text)
		}
	})
}

// The body of an answer that is followed may drip, for as long as its sender likes.
func TestDrippingRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				return
			}
			w.Header().Set("Location", "/there")
			w.WriteHeader(307)
			for {
				if _, err := w.Write([]byte("x")); err != nil {
					return
				}
				http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}))
		check(t, "outcome", end(t, c, request(t, "PUT", "x")).Outcome, Delivered)
		check(t, "time passed", time.Since(start), drain.MaxTime)
	})
}

// What is private to one origin does not go to another, nor back to the first one on the other's
// word.
func TestCrossOrigin(t *testing.T) {
	for _, standard := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 307, header: "Location: /a"},
				try{status: 308, header: "Location: http://sub.h.example/b"}, try{status: 503},
				try{status: 307, header: "Location: /a"},
				try{status: 307, header: "Location: http://sub.h.example/b"},
				try{status: 307, header: "Location: /c"},
				try{status: 307, header: "Location: http://h.example/d"}, try{status: 200})
			c, _ := over(s, exact)
			c.CrossOrigin = true
			jar, _ := cookiejar.New(nil)
			jar.SetCookies(&url.URL{Scheme: "http", Host: "h.example"},
				[]*http.Cookie{{Name: "a", Value: "1", Domain: "h.example"}})
			c.HTTP.Jar = jar
			req := request(t, "PUT", "data")
			req.Header = http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"k"},
				"Content-Type": {"text/csv"}, "Cookie": {"b=2"}}
			do, private := c.Do, 0
			if standard {
				do = c.StandardClient().Do
			}
			resp, err := do(req)
			check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
			for i, r := range s.reqs {
				check(t, "Content-Type", r.Header.Get("Content-Type"), "text/csv")
				check(t, "body", s.body[i], "data")
				if r.URL.Host == "h.example" && r.URL.Path != "/d" {
					if r.Header.Get("Authorization") == "" || r.Header.Get("X-Api-Key") == "" {
						t.Errorf("%s lost its headers: %v", r.URL, r.Header)
					}
					private++
				} else if len(r.Header) != 1 {
					t.Errorf("%s got %v", r.URL, r.Header)
				}
			}
			check(t, "requests with private headers", private,
				map[bool]int{false: 4, true: 2}[standard])
		})
	}
}

// What keeps a request from doing harm goes along, or repeating it would not be safe.
func TestCrossOriginKeepsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 307, header: "Location: http://other.example/b"}, try{status: 200})
		c, _ := over(s, exact)
		c.CrossOrigin = true
		req := request(t, "POST", "data")
		h := http.Header{"Idempotency-Key": {`"k"`}, "If-None-Match": {"*"}, "If-Match": {`"e"`},
			"If-Unmodified-Since": {"Sat, 01 Jan 2000 00:00:00 GMT"}, "Content-Md5": {"x=="},
			"Content-Range": {"bytes 0-3/4"}, "X-Idempotency-Key": {"k"}}
		req.Header = h
		check(t, "outcome", end(t, c, req).Outcome, Delivered)
		if got := s.reqs[1].Header; !maps.EqualFunc(got, h, slices.Equal) {
			t.Errorf("the other origin gets %v, want %v", got, h)
		}
	})
}

// An upload does not leave TLS, but a download may.
func TestNoDowngrade(t *testing.T) {
	for _, row := range []struct {
		method, body string
		requests     int
	}{{"PUT", "x", 1}, {"DELETE", "", 1}, {"GET", "", 2}} {
		synctest.Test(t, func(t *testing.T) {
			s := play(try{status: 307, header: "Location: http://h.example/there"}, try{status: 200})
			c, events := over(s, exact)
			c.CrossOrigin = true
			req := request(t, row.method, row.body)
			req.URL.Scheme = "https"
			_ = end(t, c, req)
			check(t, row.method+" requests", len(s.at), row.requests)
			if row.requests == 1 {
				check(t, "error", (*events)[0].Err.Error(), row.method+" https://h.example/up/f.bin: "+
					"307 Temporary Redirect: redirected to http://h.example/there, without TLS, "+
					"which is not followed")
			}
		})
	}
}

// CheckRedirect can allow some hosts alone.
func TestCrossOriginToSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 307, header: "Location: http://a.example/"},
			try{status: 307, header: "Location: http://b.example/"})
		c, events := over(s, exact)
		c.CrossOrigin = true
		c.HTTP.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
			if next.URL.Host != "a.example" {
				return http.ErrUseLastResponse
			}
			return nil
		}
		check(t, "status", end(t, c, request(t, "PUT", "x")).Status, 307)
		check(t, "requests", len(s.at), 2)
		if text := (*events)[0].Err.Error(); !strings.Contains(text,
			"redirected to http://b.example/, another origin, which is not followed: send there") {
			t.Error(text)
		}
	})
}

func TestUsersCheckRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("not there")
		s := play(try{status: 307, header: "Location: /x"})
		c, _ := over(s, exact)
		c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return no }
		_, err := c.Do(request(t, "PUT", "x"))
		check(t, "outcome", OutcomeOf(nil, err).Outcome, Failed)
		check(t, "tries", len(s.at), 1)
		if !errors.Is(err, no) {
			t.Errorf("error: %v", err)
		}
		c.HTTP.CheckRedirect = func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		}
		check(t, "status", end(t, c, request(t, "PUT", "x")).Status, 307)
	})
}
