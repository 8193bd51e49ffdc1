package hosts

import (
	"net"
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
