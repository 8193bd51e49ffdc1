// Package item has the words that sources, the engine, the journal and results share: an [Item] is
// what is sent. The package neither makes items nor sends them.
package item

import (
	"net/http"
	"time"
)

// An Item is one thing to send, and where it goes.
type Item struct {
	Path   string      // the file, as the user knows it
	Rel    string      // {path}: relative, with slashes on every system
	URL    string      // without credentials
	Method string      // upper case
	Header http.Header // mostly nil; shared between items: not to be changed
	Key    string      // the manifest's idempotency key, or empty

	Size    int64     // bytes
	ModTime time.Time // with Size: what the file was when the item was made
}
