package main

import "testing"

func TestHasWord(t *testing.T) {
	for _, c := range []struct {
		client, name string
		want         bool
	}{
		{"nightly", "nightly", true},
		{"night shift", "night shift", true},
		{"127.0.0.1 curl/8.5.0", "127.0.0.1 curl/8.5.0", true},
		{"127.0.0.1 curl/8.5.0", "127.0.0.1", true},
		{"127.0.0.1 curl/8.5.0", "curl/8.5.0", true},
		{"127.0.0.1 curl/8.5.0", "curl", true},
		{"127.0.0.1 curl/8.5.0", "8.5.0", false},
		{"127.0.0.1 curl/8.5.0", "cur", false},
		{"127.0.0.1 ", "curl", false},
		{"etl-nightly", "etl", false},
	} {
		if got := hasWord(c.client, c.name); got != c.want {
			t.Errorf("%q has %q: %v", c.client, c.name, got)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		columns int
		want    string
	}{{0, "größer"}, {6, "größer"}, {5, "größ…"}, {1, "…"}} {
		if got := shorten("größer", c.columns); got != c.want {
			t.Errorf("%d columns: %s, want %s", c.columns, got, c.want)
		}
	}
}
