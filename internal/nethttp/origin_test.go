package nethttp_test

import (
	"net/url"
	"testing"

	"github.com/penstock/penstock/internal/nethttp"
)

func TestOrigin(t *testing.T) {
	for raw, want := range map[string]string{
		"http://h.example/a?b=http://c/":    "http://h.example",
		"HTTP://H.Example:80/":              "http://h.example",
		"https://h.example:443":             "https://h.example",
		"https://h.example:80#x":            "https://h.example:80",
		"http://h.example:443?x":            "http://h.example:443",
		"http://h.example:":                 "http://h.example",
		"http://ann:p%40ss@h.example:8080/": "http://h.example:8080",
		"http://[::1]:80/":                  "http://[::1]",
		"https://[FE80::1%25eth0]:8443/":    "https://[fe80::1%eth0]:8443",
		"https://b\u00fccher.example/":      "https://b\u00fccher.example",
		"https://h.example/%7B":             "https://h.example",
		"socks5://h.example:1080":           "socks5://h.example:1080",
	} {
		if got := nethttp.OriginOf(raw); got != want {
			t.Errorf("OriginOf(%q) = %q, want %q", raw, got, want)
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := nethttp.Origin(u); got != want {
			t.Errorf("Origin(%q) = %q, want %q", raw, got, want)
		}
	}
	for raw, want := range map[string]string{
		"http://h.example/{path}":         "http://h.example",
		"http://ann:a/b@h.example/{name}": "http://ann:a", // a raw slash ends the host
		"https://a b:443/":                "https://a b",
	} {
		if got := nethttp.OriginOf(raw); got != want {
			t.Errorf("OriginOf(%q) = %q, want %q", raw, got, want)
		}
	}
	if got := nethttp.Origin(nil); got != "" {
		t.Errorf("Origin(nil) = %q", got)
	}
}
