package admin

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/relay"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A world is a relay to two servers, and its admin.
type world struct {
	t     *testing.T
	admin *Admin
	log   bytes.Buffer
}

func newWorld(t *testing.T, limits throttle.Limits) *world {
	w := &world{t: t}
	o := relay.Options{Limits: limits, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, name := range []string{"a", "b"} {
		u := &url.URL{Scheme: "http", Host: name + ".example"}
		o.Targets = append(o.Targets, relay.Target{Name: name, URL: u})
	}
	r := relay.New(o)
	w.admin = New(r, r.State, hosts.New(nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	return w
}

// ask sends a request, and returns the status and the answer. Headers are those of a program that
// posts JSON, unless they are given.
func (w *world) ask(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	req := httptest.NewRequest(method, "http://127.0.0.1:8430"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "curl/8")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	rec := httptest.NewRecorder()
	w.admin.ServeHTTP(rec, req)
	var p struct {
		Status int
		Detail string
	}
	if rec.Header().Get("Content-Type") != "application/problem+json" {
		return rec.Code, rec.Body.String()
	}
	test.OK(w.t, json.Unmarshal(rec.Body.Bytes(), &p))
	if p.Status != rec.Code {
		w.t.Errorf("%s: status %d in an answer with %d", path, p.Status, rec.Code)
	}
	return rec.Code, p.Detail
}

// want compares an answer.
func (w *world) want(path, body string, status int, text string) {
	w.t.Helper()
	if code, got := w.ask("POST", path, body); code != status || got != text {
		w.t.Errorf("%s %s: %d %s, want\n%d %s", path, body, code, got, status, text)
	}
}

// A change is in force, is in the answer, and is in the log with its sender.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock begins with 2000
		w := newWorld(t, throttle.Limits{Rate: 4})
		standing := func(name, rps, concurrency, paused, until string) string {
			return `{"target":"` + name + `","upstream":"http://` + name + `.example","rps":` +
				rps + `,"concurrency":` + concurrency + `,"paused":` + paused + `,"until":` +
				until + `}`
		}
		targets := func(draining, a, b string) string {
			return `{"draining":` + draining + `,"targets":[` + a + `,` + b + "]}\n"
		}
		b := standing("b", "4", "null", "false", "null")
		w.want("/limits", `{"target":"a","rps":null,"concurrency":8}`, 200,
			targets("false", standing("a", "null", "8", "false", "null"), b))
		w.want("/limits", `{"target":"a","rps":0.5,"concurrency":null}`, 200,
			targets("false", standing("a", "0.5", "null", "false", "null"), b))
		w.want("/pause", `{"target":"a","for":"5m"}`, 200, targets("false",
			standing("a", "0.5", "null", "true", `"2000-01-01T00:05:00Z"`), b))
		w.want("/pause", ``, 200, targets("false", standing("a", "0.5", "null", "true", "null"),
			standing("b", "4", "null", "true", "null")))
		w.want("/resume", `{"target":null}`, 200,
			targets("false", standing("a", "0.5", "null", "false", "null"), b))
		w.want("/resume", `{}`, 200,
			targets("false", standing("a", "0.5", "null", "false", "null"), b))
		code, text := w.ask("GET", "/limits", "")
		if want := targets("false", standing("a", "0.5", "null", "false", "null"),
			b); code != 200 || text != want {
			t.Errorf("%d %s, want %s", code, text, want)
		}
		if code, text := w.ask("GET", "/readyz", ""); code != 200 || text != "ready\n" {
			t.Errorf("%d %s", code, text)
		}
		w.want("/drain", `{}`, 200,
			targets("true", standing("a", "0.5", "null", "false", "null"), b))
		code, text = w.ask("GET", "/readyz", "")
		if code != 503 || !strings.HasPrefix(text, "the relay is stopping") {
			t.Errorf("%d %s", code, text)
		}
		if code, text := w.ask("GET", "/healthz", ""); code != 200 || text != "ok\n" {
			t.Errorf("%d %s", code, text)
		}
		who := " by 192.0.2.1:1234 (curl/8)"
		at := 0
		for _, line := range []string{
			"limits of http://a.example changed" + who +
				": at most 8 in flight",
			"limits of http://a.example changed" + who + ": 0.5 req/s",
			"http://a.example paused" + who + " for 5 m",
			"http://a.example paused" + who + " until somebody resumes it",
			"http://b.example paused" + who + " until somebody resumes it",
			"http://a.example resumed" + who,
			"http://b.example resumed" + who,
		} {
			i := strings.Index(w.log.String()[at:], line)
			if i < 0 {
				t.Fatalf("%q is not in the log, or not in this order:\n%s", line, &w.log)
			}
			at += i + len(line)
		}
	})
}

// What is wrong is said in a sentence that names the field, and changes nothing.
func TestBadChanges(t *testing.T) {
	w := newWorld(t, throttle.Limits{Rate: 4, Fixed: true})
	_, before := w.ask("POST", "/resume", "")
	const rps = "rps: want requests a second, a number from 0.0001 to 1000000000, or null, not "
	const concurrency = "concurrency: want requests in flight, a whole number above 0, or null, not "
	const object = `the body is not a JSON object, such as {"target": ""}: `
	for _, c := range []struct{ path, body, want string }{
		{"/limits", `{"rps":0}`, rps + "0"},
		{"/limits", `{"rps":-1}`, rps + "-1"},
		{"/limits", `{"rps":1e10}`, rps + "1e10"},
		{"/limits", `{"rps":1e999}`, rps + "1e999"},
		{"/limits", `{"rps":"4/s"}`, rps + `"4/s"`},
		{"/limits", `{"concurrency":0}`, concurrency + "0"},
		{"/limits", `{"concurrency":1.5}`, concurrency + "1.5"},
		{"/limits", `{"concurrency":1e30}`, concurrency + "1e30"},
		{"/limits", `{}`, "rps, concurrency: want one of them, a number or null"},
		{"/limits", `{"target":"a"}`, "rps, concurrency: want one of them, a number or null"},
		{"/limits", `{"rps":null}`,
			"the relay was started with --fixed, which needs one of the two"},
		{"/limits", `{"rps":4,"burst":2}`,
			`"burst": there is no such field; known are target, rps, concurrency`},
		{"/limits", `{"RPS":4}`,
			`"RPS": there is no such field; known are target, rps, concurrency`},
		{"/limits", `{"target":"c","rps":4}`, `no target is called "c": there is a, b`},
		{"/limits", `{"target":["a"],"rps":4}`,
			`target: want the name of a target, a text, not ["a"]`},
		{"/pause", `{"for":"5"}`, `for: want a time such as "5m", not "5"`},
		{"/pause", `{"for":300}`, `for: want a time such as "5m", not 300`},
		{"/pause", `{"for":""}`, `for: want a time such as "5m", not ""`},
		{"/pause", `{"target":"c"}`, `no target is called "c": there is a, b`},
		{"/pause", `{"until":"x"}`, `"until": there is no such field; known are target, for`},
		{"/resume", `{"for":"5m"}`, `"for": there is no such field; known are target`},
		{"/resume", `{"target":"c"}`, `no target is called "c": there is a, b`},
		{"/drain", `{"target":"a"}`, `"target": there is no such field, nor any other`},
		{"/drain", `{`, object + "unexpected EOF"},
		{"/drain", `null`, object + "something else is there"},
		{"/drain", `{} {}`, object + "something else is there"},
		{"/drain", `[]`, object +
			"json: cannot unmarshal array into Go value of type admin.fields"},
	} {
		w.want(c.path, c.body, http.StatusBadRequest, c.want)
	}
	if _, after := w.ask("POST", "/resume", ""); after != before {
		t.Errorf("they have changed %s to %s", before, after)
	}
}

// A page of another site can change nothing, and read nothing.
func TestForeign(t *testing.T) {
	w := newWorld(t, throttle.Limits{})
	for _, c := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"ours", "POST", "/resume", []string{"Origin", "http://127.0.0.1:8430"}, 200},
		{"ours, new", "POST", "/resume",
			[]string{"Origin", "http://127.0.0.1:8430", "Sec-Fetch-Site", "same-origin"}, 200},
		{"charset", "POST", "/resume",
			[]string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{"other", "POST", "/resume", []string{"Origin", "http://evil.example"}, 403},
		{"port", "POST", "/resume", []string{"Origin", "http://127.0.0.1:8429"}, 403},
		{"scheme", "POST", "/resume", []string{"Origin", "https://127.0.0.1:8430"}, 403},
		{"null", "POST", "/resume", []string{"Origin", "null"}, 403},
		{"site", "POST", "/resume", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"form", "POST", "/drain", []string{"Content-Type", "text/plain"}, 415},
		{"none", "POST", "/drain", []string{"Content-Type", ""}, 415},
		{"rebound", "POST", "/drain", []string{"Host", "evil.example"}, 421},
		{"rebound read", "GET", "/state", []string{"Host", "evil.example"}, 421},
		{"link", "GET", "/drain", nil, 405},
		{"elsewhere", "GET", "/nothing", nil, 404},
		{"local", "GET", "/state", []string{"Host", "localhost:8430"}, 200},
		{"page", "GET", "/", nil, 200},
		{"metrics", "GET", "/metrics", nil, 200},
	} {
		if code, text := w.ask(c.method, c.path, "", c.header...); code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, code, text, c.want)
		}
	}
	code, _ := w.ask("POST", "/resume", `{"target":"`+strings.Repeat("a", maxBody)+`"}`)
	if code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d", code)
	}
	if w.admin.relay.State().Draining {
		t.Error("it has been drained")
	}
}
