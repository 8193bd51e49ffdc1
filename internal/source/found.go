package source

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/item"
)

const (
	maxFound = 16 << 20 // bytes of memory: about a million files
	pageSize = 64 << 10
)

// found remembers the files that Scan found, so that Items need not look for them again. A file
// takes about 15 bytes: what of its path differs from the one before, and numbers, as differences
// too where they are large.
type found struct {
	pages   [][]byte
	path    string // the last one
	modTime int64  // the last one, in Unix nanoseconds
	over    bool   // there are too many, or one that cannot be stored like this
}

// add remembers an item that has nothing of its own but what a file has.
func (f *found) add(it item.Item) {
	if f.over {
		return
	}
	modTime := it.ModTime.UnixNano() // which is not defined for all times
	if len(f.pages) == maxFound/pageSize || !strings.HasSuffix(filepath.ToSlash(it.Path), it.Rel) ||
		!time.Unix(0, modTime).Equal(it.ModTime) {
		*f = found{over: true}
		return
	}
	if n := len(f.pages); n == 0 || len(f.pages[n-1]) > pageSize {
		f.pages = append(f.pages, nil)
	}
	shared := 0
	for shared < min(len(f.path), len(it.Path)) && f.path[shared] == it.Path[shared] {
		shared++
	}
	b := &f.pages[len(f.pages)-1]
	for _, n := range []int64{int64(shared), int64(len(it.Path) - shared), int64(len(it.Rel)),
		it.Size, modTime - f.modTime} {
		*b = binary.AppendVarint(*b, n)
	}
	*b = append(*b, it.Path[shared:]...)
	f.path, f.modTime = it.Path, modTime
}

// items makes the items anew.
func (f *found) items(s *Source, yield func(item.Item, error) bool) {
	var path string
	var modTime int64
	for _, b := range f.pages {
		next := func() int64 {
			n, size := binary.Varint(b)
			b = b[size:]
			return n
		}
		for len(b) > 0 {
			shared, rest, rel, size := next(), next(), next(), next()
			modTime += next()
			path = path[:shared] + string(b[:rest])
			b = b[rest:]
			it := item.Item{
				Path: path, Rel: filepath.ToSlash(path[len(path)-int(rel):]),
				Fingerprint: item.Fingerprint{Size: size, ModTime: time.Unix(0, modTime)},
			}
			// It was all right when the file was found, and so it is now.
			_ = s.setTarget(&it, s.opts.Template, urlValues(&it))
			var itemErr error
			if err := s.setContent(&it); err != nil {
				itemErr = &ItemError{it, err}
			}
			if !yield(it, itemErr) {
				return
			}
		}
	}
}
