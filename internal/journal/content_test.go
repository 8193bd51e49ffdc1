package journal

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
)

// An item need not be a file: it has an ID, and a fingerprint of its size and a mark.
func TestItemWithoutFile(t *testing.T) {
	path := newPath(t)
	record := Item{
		ID: 1, Method: "POST", URL: "https://h/events", Key: "event-17", State: item.Delivered,
		Fingerprint: Fingerprint{Size: 300, Mark: 0xfeed}, HTTPStatus: 202,
		Attempts: 1, First: time.UnixMilli(1), Last: time.UnixMilli(2),
	}
	begun := Item{ID: 2, Method: "POST", URL: "https://h/events",
		Fingerprint: Fingerprint{Mark: 0xbeef}}
	j := mustOpen(t, path)
	mustPut(t, j, record)
	if err := j.Begin(t.Context(), begun); err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)

	j = mustOpen(t, path)
	for _, c := range []struct {
		id   uint64
		f    Fingerprint
		want Claim
	}{
		{1, record.Fingerprint, Claim{State: item.Delivered, Same: true}},
		{1, Fingerprint{Size: 300, Mark: 0xfeee}, Claim{State: item.Delivered, Twice: true}},
		{2, begun.Fingerprint, Claim{State: item.InFlight, Same: true}},
		{3, record.Fingerprint, Claim{}},
	} {
		equal(t, "claim", j.Claim(c.id, c.f), c.want)
	}
	if got, err := j.Load(1); err != nil {
		t.Error(err)
	} else {
		equal(t, "load", got, record)
	}
	if _, err := j.Load(3); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// It is found by its URL, and is a line of results that names no file.
	patterns := item.ReadPatterns([]string{"https://h/*"})
	for _, it := range all(t, path) {
		if !patterns.Match(it.Path, it.URL) {
			t.Errorf("%+v is not matched", it)
		}
	}
	if r := record.Result(); r.Path != "" || r.Key != "event-17" || r.Status != item.Delivered ||
		r.Bytes != 300 {
		t.Errorf("%+v", r)
	}
	var name any
	row := j.conn.QueryRowContext(t.Context(),
		"SELECT path FROM items WHERE id = '0000000000000001'")
	if err := row.Scan(&name); err != nil || name != nil {
		t.Errorf("people see the path %q, %v", name, err)
	}
}
