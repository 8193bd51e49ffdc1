package gate

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRemoteKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":            "192.0.2.1",
		"[::ffff:192.0.2.1]:1234":   "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:80":  "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:80":      "2001:db8:1:3::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"memnet:1025":               "memnet",
		"@":                         "@",
		"":                          "",
	} {
		if got := RemoteKey(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

var trustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("2001:db8:ffff::/48")}

func TestForwardedKey(t *testing.T) {
	for _, test := range []struct {
		name, peer string
		x, f       []string
		want       string
	}{
		{"no header", "10.0.0.1:1", nil, nil, "10.0.0.1"},
		{"the client's word", "192.0.2.1:1", []string{"198.51.100.1"}, []string{"for=198.51.100.1"},
			"192.0.2.1"},
		{"by a proxy", "10.0.0.1:1", []string{"198.51.100.1"}, nil, "198.51.100.1"},
		{"by an IPv6 proxy", "[2001:db8:ffff::1]:1", []string{"198.51.100.1"}, nil, "198.51.100.1"},
		{"an IPv4 proxy within IPv6", "[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, nil,
			"198.51.100.1"},
		{"with the client's word before", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, nil,
			"198.51.100.1"},
		{"on a line before", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1"}, nil,
			"198.51.100.1"},
		{"by two proxies", "10.0.0.1:1", []string{"203.0.113.9,198.51.100.1 ,\t10.2.3.4"}, nil,
			"198.51.100.1"},
		{"trusted all the way", "10.0.0.1:1", []string{"10.9.9.9, 10.2.3.4"}, nil, "10.9.9.9"},
		{"a client who claims to be a proxy", "10.0.0.1:1",
			[]string{"203.0.113.9, 10.2.3.4, 198.51.100.1"}, nil, "198.51.100.1"},
		{"with ports", "10.0.0.1:1", []string{"198.51.100.1:77, [2001:db8:ffff::2]:443"}, nil,
			"198.51.100.1"},
		{"IPv6", "10.0.0.1:1", []string{"2001:db8:1:2:3:4:5:6"}, nil, "2001:db8:1:2::/64"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8:1:2:3:4:5:6]"}, nil,
			"2001:db8:1:2::/64"},
		{"no address", "10.0.0.1:1", []string{"203.0.113.9, unknown"}, nil, "10.0.0.1"},
		{"no address, further away", "10.0.0.1:1", []string{"203.0.113.9, unknown, 10.2.3.4"}, nil,
			"10.2.3.4"},
		{"empty members", "10.0.0.1:1", []string{"", " , 198.51.100.1, ,"}, nil, "198.51.100.1"},
		{"only empty members", "10.0.0.1:1", []string{" ,"}, nil, "10.0.0.1"},
		{"a Unix socket", "@", []string{"198.51.100.1"}, nil, "@"},

		{"Forwarded", "10.0.0.1:1", nil, []string{"for=203.0.113.9, For=198.51.100.1;proto=https;by=10.0.0.1"}, "198.51.100.1"},
		{"Forwarded, quoted", "10.0.0.1:1", nil,
			[]string{`for="[2001:db8:1:2:3::]:4711", for="10.2.3.4:80" ; host="a,b;for=c"`},
			"2001:db8:1:2::/64"},
		{"Forwarded, on two lines", "10.0.0.1:1", nil,
			[]string{"for=203.0.113.9", "for=198.51.100.1"}, "198.51.100.1"},
		{"Forwarded by a hidden name", "10.0.0.1:1", nil,
			[]string{"for=203.0.113.9, for=_hidden, for=10.2.3.4"}, "10.2.3.4"},
		{"Forwarded without for", "10.0.0.1:1", nil, []string{"for=203.0.113.9, proto=https"},
			"10.0.0.1"},
		{"Forwarded, nothing before", "10.0.0.1:1", nil, []string{", for=198.51.100.1"},
			"198.51.100.1"},
		{"Forwarded, an open quote before", "10.0.0.1:1", nil,
			[]string{`for=203.0.113.9;a=", for=198.51.100.1`}, "10.0.0.1"},
		{"and quotes after", "10.0.0.1:1", nil, []string{`for=203.0.113.9;a=", for="198.51.100.1"`},
			"10.0.0.1"},
		{"and an escape", "10.0.0.1:1", nil,
			[]string{`for=203.0.113.9;a="\, for="198.51.100.1";host="x"`}, "10.0.0.1"},
		{"an escaped quote", "10.0.0.1:1", nil,
			[]string{`for=198.51.100.1;host="a\"b,for=203.0.113.9"`}, "198.51.100.1"},

		{"both, and they agree", "10.0.0.1:1", []string{"198.51.100.1"},
			[]string{"for=198.51.100.1"}, "198.51.100.1"},
		{"both, and they do not", "10.0.0.1:1", []string{"198.51.100.1"},
			[]string{"for=203.0.113.9"}, "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: test.peer, Header: http.Header{}}
		if test.x != nil {
			r.Header["X-Forwarded-For"] = test.x
		}
		if test.f != nil {
			r.Header["Forwarded"] = test.f
		}
		if got := ForwardedKey(trustedProxies...)(r); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	r := &http.Request{RemoteAddr: "10.0.0.1:1",
		Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}}
	if got := ForwardedKey()(r); got != "10.0.0.1" {
		t.Errorf("with nobody trusted: %q", got)
	}
}

// Whatever a client writes, what a proxy adds to it is what counts, or the proxy itself.
func FuzzForwardedKey(f *testing.F) {
	for _, s := range []string{"", "for=1.2.3.4", `for="1.2.3.4`, `a="\`, `",`, `for=1.2.3.4;for="`,
		"x, y", "[::1]", `"" , ""`} {
		f.Add(s)
	}
	key := ForwardedKey(trustedProxies...)
	f.Fuzz(func(t *testing.T, word string) {
		for _, added := range []string{"for=198.51.100.1", `for="198.51.100.1:77";proto=https`,
			`host="h";for=198.51.100.1`} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1",
				Header: http.Header{"Forwarded": {word + ", " + added}}}
			if got := key(r); got != "198.51.100.1" && got != "10.0.0.1" {
				t.Errorf("Forwarded: %q, %s: %q", word, added, got)
			}
		}
		r := &http.Request{RemoteAddr: "10.0.0.1:1",
			Header: http.Header{"X-Forwarded-For": {word + ", 198.51.100.1"}}}
		if got := key(r); got != "198.51.100.1" {
			t.Errorf("X-Forwarded-For: %q, 198.51.100.1: %q", word, got)
		}
	})
}

// However many keys come, few are remembered, and never is one forgotten that has something in
// flight.
func TestForgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{Rate: 10, InFlight: 1}}
		g.once.Do(g.init)
		enter := func(key string) *account {
			a := g.enter(key, 1)
			if a.account != nil {
				g.leave(a.account, a.began)
			}
			return a.account
		}
		held := g.enter("held", 1)

		// A thousand new keys a second, each idle after 100 ms.
		for i := range 10_000 {
			c.until(time.Duration(i) * ms)
			enter(fmt.Sprint("quick ", i))
			if n := g.Stats().Keys; n > fewAccounts {
				t.Fatalf("after %d keys %d are remembered", i+1, n)
			}
		}
		// Those that are not idle are remembered until they are too many.
		for i := range maxAccounts {
			enter(fmt.Sprint("flood ", i))
			if i == maxAccounts/2 {
				for i := 0; i < maxAccounts/2; i += 10 {
					if enter(fmt.Sprint("flood ", i)) != nil {
						t.Fatalf("key %d was forgotten", i)
					}
				}
			}
		}
		for i := range maxAccounts {
			enter(fmt.Sprint("more ", i))
			if n := g.Stats().Keys; n > maxAccounts {
				t.Fatalf("%d keys are remembered", n)
			}
		}
		if enter("held") != nil {
			t.Error("a second request was admitted of a key that had one in flight")
		}
		g.leave(held.account, held.began)

		// A request in flight takes more memory than its account.
		var all []admission
		for i := range maxAccounts * 9 / 8 {
			a := g.enter(fmt.Sprint("all ", i), 1)
			if a.account == nil {
				t.Fatal("a new key was refused")
			}
			all = append(all, a)
			if i%10 == 0 && g.enter(fmt.Sprint("all ", i/2), 1).account != nil {
				t.Fatal("an account in flight was forgotten")
			}
		}
		for _, a := range all {
			g.leave(a.account, a.began)
		}
		c.until(time.Hour)
		for i := range maxAccounts {
			enter(fmt.Sprint("late ", i))
		}
		if s := g.Stats(); s.Keys > maxAccounts || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A key is a small part of a request's header, and may be a large one.
func TestKeepsLittleOfAKey(t *testing.T) {
	g := &Gate{Limits: Limits{Rate: 1}, Key: func(r *http.Request) string { return r.Header.Get("X-User") }}
	g.once.Do(g.init)
	long := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		key  string
		same bool
	}{{long, false}, {long, true}, {long + "y", false}, {long[:128], false}, {long[:128], true},
		{long[:129], false}} {
		r := &http.Request{Header: http.Header{"X-User": {test.key}}}
		if refused := g.enter(g.key(r), 1).account == nil; refused != test.same {
			t.Errorf("a key of %d bytes: refused %v, want %v", len(test.key), refused, test.same)
		}
	}
	for key := range g.mu.accounts {
		if len(key) > maxKey {
			t.Errorf("a key of %d bytes is kept", len(key))
		}
	}
}
