package item

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestFate(t *testing.T) {
	// The numbers are those of the journal's index, the names those of its file and of results.
	for want, name := range []string{"", "in_flight", "delivered", "failed", "unknown", "deferred",
		"skipped"} {
		f := Fate(want)
		if f.String() != name {
			t.Errorf("%d: %q, want %q", want, f, name)
		}
		text, err := json.Marshal(map[Fate]Fate{f: f})
		if err != nil || string(text) != `{"`+name+`":"`+name+`"}` {
			t.Errorf("%d: %s, %v", want, text, err)
		}
		if got, err := Parse(name); (err == nil) != (f != None) || got != f {
			t.Errorf("%q: %v, %v", name, got, err)
		}
		var got map[Fate]Fate
		if err := json.Unmarshal(text, &got); err != nil || len(got) != 1 || got[f] != f {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if s := Fate(9).String(); s != "Fate(9)" {
		t.Error(s)
	}
	for _, name := range []string{"Failed", "fail", " failed", "Fate(9)"} {
		f := Failed
		if err := f.UnmarshalText([]byte(name)); f != None || err == nil {
			t.Errorf("%q: %v, %v", name, f, err)
		}
	}
}

func TestSelect(t *testing.T) {
	for name, want := range map[string][]Fate{
		"delivered": {Delivered},
		"unknown":   {Unknown, InFlight},
		"skipped":   {Skipped},
		"in_flight": nil,
		"":          nil,
		"lost":      nil,
	} {
		if got := Select(name); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
