package resume

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/template"
)

// An Identity is equal for two items that are the same piece of work, in this run or another: it is
// made of the method, the URL, and where that does not say which file it is for, of the manifest's
// key or else the file's path and what the line says of it, or of the line where that names no
// file. The content is no part of it, nor is what depends on that in the URL.
//
// Credentials do not count: with a new password, token or signed URL the work goes on with the same
// items. Nor can guesses of them be tested against a key, which is a hash of this and is shown.
type Identity [sha256.Size]byte

// ID returns what the journal calls the item.
func (i Identity) ID() uint64 { return binary.BigEndian.Uint64(i[:]) }

// IdentityOf returns the identity of an item. It needs no look at the disk, and so can be asked for
// each of a million items.
func IdentityOf(it item.Item) Identity {
	where, credential := conceal.WithoutCredentials(it.URL)
	b := make([]byte, 0, 512) // on the stack
	b = appendField(b, it.Method)
	b = appendField(b, where)
	// What was left out may have been the only difference between two files. With the path they
	// stay two, and the worst is that a file is sent again from elsewhere.
	if credential != "" || sharesURL(it) {
		if it.Key != "" {
			b = append(b, 'k')
			b = appendField(b, it.Key)
		} else if it.NoFile() {
			b = append(b, 'l')
			b = appendField(b, it.Hash)
		} else {
			b = append(b, 'p')
			b = appendField(b, absolute(it.Path))
			b = appendLine(b, it)
		}
	}
	return sha256.Sum256(b)
}

// sharesURL reports whether the item's URL may be that of others, too.
func sharesURL(it item.Item) bool {
	return nethttp.SharesURL(it.Method) || template.Incomplete(it.URL)
}

// appendLine appends what a line says of an item besides where it goes.
func appendLine(b []byte, it item.Item) []byte {
	return appendFields(appendHeader(b, it.Header), it.Fields)
}

// appendFields appends the fields that are sent. Of two lines that differ in any of them, be it a
// credential, none may be lost.
func appendFields(b []byte, fields template.Fields) []byte {
	if len(fields) == 0 {
		return b
	}
	b = append(b, 'f')
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		b = append(appendField(appendField(b, name), v.Text), byte(v.Kind))
	}
	return b
}

// appendField puts the length before a text, so that no two lists of texts look the same.
func appendField(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendHeader appends the headers that distinguish items.
func appendHeader(b []byte, h http.Header) []byte {
	if len(h) == 0 {
		return b // without the allocations of sorting
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isLeftOut(name, h[name]) {
			continue
		}
		b = appendField(b, name)
		b = binary.AppendUvarint(b, uint64(len(h[name])))
		for _, v := range h[name] {
			b = appendField(b, v)
		}
	}
	return b
}

// Uncounted returns the names of the headers by which two items do not differ.
func Uncounted(h http.Header) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isLeftOut(name, h[name]) {
			names = append(names, name)
		}
	}
	return names
}

// isLeftOut reports whether a header says nothing about an item: it is a credential, or changes
// from run to run.
func isLeftOut(name string, values []string) bool {
	return slices.Contains(dateHeaders, name) || conceal.Credential(name, values)
}

// dateHeaders say when a request is sent, as signature schemes do.
var dateHeaders = []string{"Date", "X-Amz-Date", "X-Goog-Date", "X-Ms-Date"}

// UUID returns a UUID of version 8 for the item, the same in each run.
func (i Identity) UUID() string {
	return uuid8(sha256.Sum256(append(i[:], "uuid"...)))
}

// FingerprintOf is equal to the one on record if an item's file, what its line says of it, and the
// further files that its request has, are what was sent. Files of equal size and date, as archives
// have them, differ by where they are; one that has a key of its own may be anywhere.
//
// What is the same for all items of a run does not count: neither headers nor templates of bodies,
// which may have a date or a secret, nor the length of a body without a file.
func FingerprintOf(it item.Item) journal.Fingerprint {
	f := journal.Fingerprint{Size: it.Size, ModTime: it.ModTime}
	if it.NoFile() {
		f.Size = 0
	}
	line := lineOf(it)
	var place []byte
	if it.Key == "" && !it.NoFile() {
		place = []byte(absolute(it.Path))
	} else if line == nil {
		f.Mark = it.Rest
		return f
	}
	if line != nil {
		place = append(append(place, 0), line...) // no path has this byte
	}
	if it.Rest != 0 {
		place = binary.BigEndian.AppendUint64(append(place, 0, 0), it.Rest)
	}
	sum := sha256.Sum256(place)
	f.Mark = binary.BigEndian.Uint64(sum[:])
	return f
}

// lineOf returns what the line says of an item where that may change while the identity stays; nil
// if it says nothing.
func lineOf(it item.Item) []byte {
	if it.Key == "" && !it.NoFile() && sharesURL(it) {
		return nil
	}
	var b []byte
	if it.Key == "" {
		b = appendHeader(b, it.Header)
	}
	fields := maps.Clone(it.Fields)
	maps.DeleteFunc(fields, func(name string, v template.Value) bool {
		return conceal.Credential(name, []string{v.Text})
	})
	return appendFields(b, fields)
}

var workingDirectory = sync.OnceValues(os.Getwd)

// absolute is filepath.Abs without asking the system each time.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	// On Windows \a and C:a are neither absolute nor below the working directory.
	if path == "" || filepath.VolumeName(path) != "" || os.IsPathSeparator(path[0]) {
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
		return path
	}
	dir, err := workingDirectory()
	if err != nil {
		return filepath.Clean(path) // nor could the file be opened
	}
	return filepath.Join(dir, path)
}
