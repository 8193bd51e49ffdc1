package journal

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func TestBasics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "a.db")
	j, err := Open(context.Background(), Options{Path: path, Target: "https://h/{name}", Method: "PUT"})
	if err != nil {
		t.Fatal(err)
	}
	f := Fingerprint{3, time.Unix(1, 2)}
	if c := j.Claim(7, f); c != (Claim{}) {
		t.Errorf("claim: %+v", c)
	}
	done := make(chan error, 1)
	j.Put(Item{ID: 7, Path: "p", Fingerprint: f, State: Delivered}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(context.Background(), Item{ID: 8, Path: "q"}); err != nil {
		t.Fatal(err)
	}
	if c := j.Claim(7, f); c != (Claim{Delivered, true, true}) {
		t.Errorf("claim: %+v", c)
	}
	if it, err := j.Load(8); err != nil || it.Path != "q" || it.State != InFlight {
		t.Errorf("load: %+v %v", it, err)
	}
	if err := j.Close(3); err != nil {
		t.Fatal(err)
	}
	j, err = Open(context.Background(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	e := j.Earlier()
	if e.Runs != 1 || e.Killed || e.Counts[Delivered] != 1 || e.Counts[InFlight] != 1 {
		t.Errorf("earlier: %+v", e)
	}
	if err := j.Close(0); err != nil {
		t.Fatal(err)
	}
}
