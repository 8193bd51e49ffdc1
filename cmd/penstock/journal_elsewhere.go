package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/resume"
)

// elsewhere counts files that were delivered from directories that this machine does not have: by
// its own they are other files.
type elsewhere struct {
	files   int64
	movable int64 // of these, those that --digest knows again
	example string
}

func (e *elsewhere) add(it journal.Item, example string) {
	if e.files == 0 {
		e.example = example
	}
	e.files++
	if it.Digest != nil && !nethttp.SharesURL(it.Method) { // else the identity has the path
		e.movable++
	}
}

func (e *elsewhere) text(delivered int64) string {
	text := fmt.Sprintf("delivered from directories that are not here: %s of %s, such as %s; a run "+
		"that finds them in another place sends them again", human.Count(e.files),
		human.Plural(delivered, "file"), human.Printable(e.example))
	if e.movable == e.files {
		text += ", unless it has --digest"
	}
	return text
}

// lyingElsewhere looks through the delivered files of a journal. Where a relative path began is
// known only by a hash, and only if there is no more in that: such files count if others lie below
// the working directory by theirs.
func lyingElsewhere(r *journal.Reader) (e elsewhere, err error) {
	gone := make(map[string]bool)
	var relative elsewhere
	here := false
	for it, err := range r.Items(item.FatesOf(item.Delivered)) {
		switch {
		case err != nil:
			return e, err
		case it.Path == "", it.Key != "" && !it.KeyMade: // one with a key may be anywhere
		case filepath.IsAbs(it.Path):
			dir := filepath.Dir(it.Path)
			if _, known := gone[dir]; !known {
				_, err := os.Stat(dir)
				gone[dir] = errors.Is(err, fs.ErrNotExist)
			}
			if gone[dir] {
				e.add(it, it.Path)
			}
		case it.Mark == resume.FingerprintOf(item.Item{Path: it.Path}).Mark:
			here = true
		default:
			relative.add(it, it.Path+" below another one")
		}
	}
	if here && relative.files > 0 {
		if e.files == 0 {
			e.example = relative.example
		}
		e.files += relative.files
		e.movable += relative.movable
	}
	return e, nil
}
