package hosts

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestAllow(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine = strings.ToLower(machine)
	loopback, open := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for _, c := range []struct {
		host  string
		given []string
		on    net.Addr
		want  bool
	}{
		{"", nil, loopback, true},
		{"localhost:8430", nil, loopback, true},
		{"LocalHost.", nil, loopback, true},
		{"127.0.0.1:8430", nil, loopback, true},
		{"[::1]:8430", nil, loopback, true},
		{"[::1]", nil, loopback, true},
		{"page.localhost:8430", nil, loopback, true},
		{"evil.example:8430", nil, loopback, false},
		{"127.0.0.1.evil.example", nil, loopback, false},
		{"localhost.evil.example", nil, loopback, false},
		{"evillocalhost", nil, loopback, false},
		{"relay:8430", []string{"Relay"}, loopback, true},
		{machine + ":8430", nil, open, true},
		{"evil.example:8430", nil, open, false},
	} {
		if got := New(c.given, c.on).Allow(c.host); got != c.want {
			t.Errorf("%q, with %q on %v: %v", c.host, c.given, c.on, got)
		}
	}
	if new(Names).Allow("localhost") {
		t.Error("no name was given")
	}
}

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		site, origin string
		want         bool
	}{
		{"", "", false},
		{"none", "", false},
		{"same-origin", "http://localhost:8429", false},
		{"same-site", "http://localhost:3000", true},
		{"cross-site", "", true},
		{"cross-site", "https://evil.example", true},
		{"", "http://localhost:8429", false},
		{"", "http://localhost:3000", true},
		{"", "https://evil.example", true},
		{"", "null", true},
		{"", "%zz", true},
	} {
		req := httptest.NewRequest("POST", "http://localhost:8429/x", nil)
		if c.site != "" {
			req.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		if got := Foreign(req); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestOnly(t *testing.T) {
	h := Names{"localhost"}.Only(http.NotFoundHandler())
	for host, want := range map[string]int{"localhost:8430": 404, "evil.example": 421} {
		req, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		req.Host = host
		if h.ServeHTTP(w, req); w.Code != want {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}
