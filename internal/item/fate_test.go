package item

import (
	"encoding/json"
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
