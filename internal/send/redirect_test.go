package send

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
)

// sendsOn answers with a redirect to another host, which is the answerer's.
func sendsOn(to string, there http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Host != to {
			w.Header().Set("Location", "http://"+to+r.URL.Path)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		there(w, r)
	}
}

// Files end at the server that redirects lead to if the user has named it, and each server has its
// own pace.
func TestFollowTo(t *testing.T) {
	onFakeTime(t, 30, sendsOn("b.example", answering(201)), func(w *world) {
		w.FollowTo = Hosts{"c.example", "b.example"}
		w.Limits.Rate = 10
		s := w.run()
		w.ended(s, exit.Delivered, 30, 0, 0, 0, 0)
		for _, host := range []string{"127.0.0.1", "b.example"} {
			all := w.count(func(c *call) bool { return c.host == host })
			first := w.count(func(c *call) bool { return c.host == host && c.at < time.Second })
			if all != 30 || first > 11 {
				t.Errorf("%s: %d requests, %d in the first second", host, all, first)
			}
		}
	})
}

// What the server answers that redirects lead to is held against that one: the run ends when it
// refuses all, or accepts nothing for too long, and goes on after an outage.
func TestFollowToTrouble(t *testing.T) {
	for _, row := range []struct {
		name      string
		files     int
		answer    http.HandlerFunc
		status    int
		delivered int64
		requests  int // at most, where the redirects lead to
	}{
		{"refuses all", 100, answering(403), exit.Refused, 0, 25},
		{"refuses the account", 100, answering(401), exit.Refused, 0, 15},
		{"is overloaded", 50, answering(503), exit.Unavailable, 0, 100},
		{"comes back", 50, func(w http.ResponseWriter, r *http.Request) {
			// fake time begins with a whole hour
			if time.Now().Minute() == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}, exit.Delivered, 50, 100},
		{"refuses one", 50, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/00007") {
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
		}, exit.Items, 49, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			onFakeTime(t, row.files, sendsOn("b.example", row.answer), func(w *world) {
				w.FollowTo = Hosts{"b.example"}
				w.Limits.InFlight = 1
				w.GiveUpAfter = 5 * time.Minute
				s := w.run()
				there := w.count(func(c *call) bool { return c.host == "b.example" })
				if s.ExitStatus != row.status || s.Items.Delivered != row.delivered ||
					there > row.requests {
					t.Errorf("exit status %d, %+v after %d requests there; want %d, %d, %d at most\n%s",
						s.ExitStatus, s.Items, there, row.status, row.delivered, row.requests,
						errorsOf(s))
				}
			})
		})
	}
}

// A redirect to a server that is not named fails, wherever it comes from, and so does a loop.
func TestFollowToEnds(t *testing.T) {
	onFakeTime(t, 1, sendsOn("b.example", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://c.example:8080/x")
		w.WriteHeader(http.StatusPermanentRedirect)
	}), func(w *world) {
		w.FollowTo = Hosts{"b.example", "c.example"} // at the usual port
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if text := errorsOf(s); !strings.Contains(text, "redirected to http://c.example:8080/x, "+
			"another origin, which is not followed: send there; or add "+
			"--follow-to c.example:8080") {
			t.Error(text)
		}
	})
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"127.0.0.1": "b.example", "b.example": "127.0.0.1"}[r.Host]
		w.Header().Set("Location", "http://"+to+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
	}, func(w *world) {
		w.FollowTo = Hosts{"b.example"}
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		n := w.got(0, always)
		if n != 10 || !strings.Contains(errorsOf(s), "no more are followed") {
			t.Errorf("%d requests\n%s", n, errorsOf(s))
		}
	})
}

// [follow to] The other server gets the file and what it needs to take it once, and nothing that is
// private.
func TestFollowToHeaders(t *testing.T) {
	var mu sync.Mutex
	var got []*http.Request
	var bodies []string
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got, bodies = append(got, r), append(bodies, string(text))
		if len(got) == 1 {
			w.WriteHeader(http.StatusBadGateway) // it is sent again with the same key
		}
	}))
	defer b.Close()
	private := []string{"Authorization", "Cookie", "X-Api-Key", "Referer", "X-Own"}
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range private {
			if r.Header.Get(name) == "" && name != "Referer" {
				t.Errorf("the first server gets no %s", name)
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		w.Header().Set("Location", b.URL+"/there?signature=s3cr3t")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer a.Close()
	for _, keyHeader := range []string{"Idempotency-Key", "X-Request-Id"} {
		got, bodies = nil, nil
		file := t.TempDir() + "/f.csv"
		writeFile(t, file, "content")
		var watch watcher
		w := &world{T: t, Options: Options{Progress: &watch, Attempts: 3,
			Log: slog.New(slog.NewTextHandler(&watch, nil))}}
		w.from(a.URL+"/{name}", source.Options{Paths: []string{file}, Method: "POST",
			KeyHeader: keyHeader})
		w.Header = http.Header{"Authorization": {"Bearer s3cr3t"}, "Cookie": {"a=b"},
			"X-Api-Key": {"k"}, "X-Own": {"1"}}
		w.NoOverwrite = true
		w.Idempotency = resume.Idempotency{Header: keyHeader, Bare: true, Lifetime: time.Hour}
		u, _ := url.Parse(b.URL)
		w.FollowTo = Hosts{u.Host}
		if s := Run(t.Context(), t.Context(), w.Options); s.Items.Delivered != 1 {
			t.Errorf("%+v\n%s", s.Items, errorsOf(s))
		}
		if len(got) != 2 || !slices.Equal(bodies, []string{"content", "content"}) {
			t.Fatalf("%d requests with %q", len(got), bodies)
		}
		for _, r := range got {
			for _, name := range private {
				if v := r.Header.Get(name); v != "" {
					t.Errorf("the other server gets %s: %s", name, v)
				}
			}
		}
		for name, want := range map[string]string{"Content-Type": "text/csv",
			"If-None-Match": "*", keyHeader: got[0].Header.Get(keyHeader)} {
			if v := got[1].Header.Get(name); v != want || v == "" {
				t.Errorf("the other server gets %s: %q, want %q", name, v, want)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	h := Hosts{"a.example", "b.example:8443", "c.example:443", "[::1]"}
	for text, want := range map[string]bool{
		"http://a.example/x": true, "https://A.EXAMPLE:443/": true, "https://a.example:80/": false,
		"https://sub.a.example": false, "https://b.example:8443": true, "https://b.example": false,
		"https://c.example": true, "http://c.example": false, "http://[::1]:80/": true,
		"http://user@d.example/a.example": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if h.Have(u) != want {
			t.Errorf("%s: want %t", text, want)
		}
	}
}
