// Package header makes the headers of the requests for items. It sends the user's credentials only
// to the server that they were given for.
package header

import (
	"maps"
	"net/http"
	"sync"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
)

// A Maker makes headers. Its exported fields are set before its first use. Its methods may be
// called concurrently.
type Maker struct {
	All         http.Header // given for all items; its values may be secrets
	Home        string      // the origin that gets All, and no other does; if empty, all do
	UserAgent   string
	NoOverwrite bool // have the server refuse what it has

	// Withheld is called with the first item that is sent without All.
	Withheld func(it item.Item)

	told   sync.Once
	shared sync.Map // by content type, for items that have no headers of their own
}

// Content is what the headers say of a request's body.
type Content struct {
	Type   string
	Digest string // its Content-Digest, empty if none is sent
	Form   bool   // Type has the form's boundary, so no other is sent
}

// Of returns the headers of an item's request, and reports whether they are its own. If not, other
// items share them and they must not be changed. If asked is set, they are its own.
func (m *Maker) Of(it item.Item, c Content, asked bool) (h http.Header, own bool) {
	foreign := m.isForeign(it)
	own = asked || it.Header != nil || it.Key != "" || c.Form || foreign || c.Digest != ""
	if h, ok := m.shared.Load(c.Type); ok && !own {
		return h.(http.Header), false
	}
	h = http.Header{"User-Agent": {m.UserAgent}, "Content-Type": {c.Type}}
	if c.Digest != "" {
		h.Set("Content-Digest", c.Digest)
	}
	if m.NoOverwrite {
		h.Set("If-None-Match", "*")
	}
	if !foreign {
		maps.Copy(h, m.All)
	}
	maps.Copy(h, it.Header)
	if c.Form {
		h.Set("Content-Type", c.Type)
	}
	if !own {
		m.shared.Store(c.Type, h)
	}
	return h, own
}

// ToAsk returns the headers for asking a server about an item that is not sent.
func (m *Maker) ToAsk(it item.Item) http.Header {
	h := http.Header{"User-Agent": {m.UserAgent}}
	if !m.isForeign(it) {
		maps.Copy(h, m.All)
	}
	maps.Copy(h, it.Header)
	return h
}

// isForeign reports whether an item goes to a server that must not see what was given for all.
func (m *Maker) isForeign(it item.Item) bool {
	if m.Home == "" || nethttp.OriginOf(it.URL) == m.Home {
		return false
	}
	m.told.Do(func() { m.Withheld(it) })
	return true
}
