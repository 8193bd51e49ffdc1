package item

import (
	"io/fs"
	"time"

	"github.com/penstock/penstock/internal/filebody"
)

// A Fingerprint is what is known of a content without reading it.
type Fingerprint struct {
	// of the item's file, or of what it has instead of one
	Size    int64 // bytes
	ModTime time.Time

	// Rest is a hash of what else is sent: a body that a line has in itself, or sizes and dates of
	// further files. If zero, there is nothing.
	Rest uint64
}

// FingerprintOf returns the fingerprint of a content.
func FingerprintOf(info fs.FileInfo) Fingerprint {
	f := Fingerprint{Size: info.Size(), ModTime: info.ModTime()}
	if info, ok := info.(interface{ Rest() uint64 }); ok {
		f.Rest = info.Rest()
	}
	return f
}

// Equal reports whether the two are the same.
func (f Fingerprint) Equal(g Fingerprint) bool {
	return f.Size == g.Size && f.ModTime.Equal(g.ModTime) && f.Rest == g.Rest
}

// Changed reports whether a content is now something other than what had the fingerprint.
func (f Fingerprint) Changed(now fs.FileInfo) bool {
	return !now.Mode().IsRegular() || !f.Equal(FingerprintOf(now))
}

// Replaced reports whether a content has another file now, be it of the same size and time.
func Replaced(was, now fs.FileInfo) bool {
	if was, ok := was.(interface{ Replaced(fs.FileInfo) bool }); ok {
		return was.Replaced(now)
	}
	return filebody.Replaced(was, now)
}
