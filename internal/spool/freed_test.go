package spool

import (
	"errors"
	"io"
	"testing"
)

// If one reader alone can go on, it is the newest, and others neither take from it nor read
// anything else than the body.
func TestTheNewestGoesOn(t *testing.T) {
	data := content(1000)
	b := (&Store{Memory: 100, MaxBody: 500, create: (&disk{room: 1000}).create}).Keep(
		&client{data: data}, -1)
	defer b.Close()
	older, closed, newest := open(t, b), open(t, b), open(t, b)
	io.ReadFull(older, make([]byte, 600)) // the bound is reached
	closed.Close()
	n, err := older.Read(make([]byte, 100))
	check(t, "bytes for the older", n, 0)
	check(t, "its error", errors.Is(err, ErrBound), true)
	read(t, "the newest", newest, data)
	check(t, "stats", b.store.Stats(), Stats{Bodies: 1})
}

// What is kept may be freed while a reader has the disk read or write.
func TestFreedMeanwhile(t *testing.T) {
	buffer := make([]byte, 300)
	for name, free := range map[string]func(b *Body, newest io.Closer) error{
		"Close": func(b *Body, _ io.Closer) error { b.Close(); return errClosed },
		"Forget": func(b *Body, newest io.Closer) error {
			b.Forget()
			newest.Close() // the others end before what was read
			return errForgotten
		},
	} {
		for _, what := range []string{"created", "written", "read"} {
			name := name + " while it is " + what
			d := &disk{room: 1000}
			s := &Store{Memory: -1, create: d.create}
			b := s.Keep(&client{data: content(1000)}, -1)
			first, newest := open(t, b), open(t, b)
			if what != "created" {
				first.Read(buffer)
			}
			if what == "read" {
				first.Close()
				first = newest
				newest = open(t, b)
				io.ReadFull(newest, make([]byte, 600))
			}
			var want error
			d.during = func() { want = free(b, newest) }
			n, err := first.Read(buffer)
			switch {
			case name[:5] == "Close" || what == "read":
				check(t, name+": bytes", n, 0)
				check(t, name+": error", errors.Is(err, want), true)
			default: // it is passed on all the same
				check(t, name+": bytes", n, len(buffer))
				check(t, name+": error", err, nil)
			}
			first.Close()
			check(t, name+": files", d.open, 0)
			b.Close()
			check(t, name+": stats", s.Stats(), Stats{})
		}
	}
}
