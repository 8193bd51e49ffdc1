package main

import (
	"net"
	"net/url"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// A relay does not send to itself, by whatever name.
func TestIsSelf(t *testing.T) {
	for _, c := range []struct {
		to, at string
		want   bool
	}{
		{"http://127.0.0.1:8429/x", "127.0.0.1:8429", true},
		{"http://localhost:8429", "127.0.0.1:8429", true},
		{"http://localhost:8429", "0.0.0.0:8429", true},
		{"http://127.0.0.2:8429", "[::]:8429", true},
		{"http://[::1]:8429", "[::1]:8429", true},
		{"http://0.0.0.0:8429", "127.0.0.1:8429", true},
		{"http://localhost", "127.0.0.1:80", true},
		{"https://localhost", "127.0.0.1:443", true},
		{"http://127.0.0.1:8430", "127.0.0.1:8429", false},
		{"http://127.0.0.2:8429", "127.0.0.1:8429", false},
		{"http://192.0.2.1:8429", "0.0.0.0:8429", false},
		{"https://localhost", "127.0.0.1:80", false},
	} {
		to, err := url.Parse(c.to)
		test.OK(t, err)
		at, err := net.ResolveTCPAddr("tcp", c.at)
		test.OK(t, err)
		if got := isSelf(t.Context(), to, at); got != c.want {
			t.Errorf("%s at %s: %v", c.to, c.at, got)
		}
	}
}
