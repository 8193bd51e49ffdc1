// Package header makes the headers of the requests for items. It sends what was given for all of
// them, such as credentials, only to the server that it was given for.
package header

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/template"
)

// A Maker makes headers. Its exported fields are set before its first use. Its methods may be
// called concurrently.
type Maker struct {
	All         http.Header // given for all items; its values may be secrets
	Filled      []Field     // likewise, with variables; these win over those of All
	Home        string      // the origin that gets both, and no other does; if empty, all do
	UserAgent   string
	NoOverwrite bool // have the server refuse what it has

	// Withheld is called with the first item that is sent without All.
	Withheld func(it item.Item)

	told   sync.Once
	shared sync.Map // by content type, for items that have no headers of their own
}

// A Field is a header with variables.
type Field struct {
	Name  string // canonical
	Value *template.Template
}

// Content is what the headers say of a request's body.
type Content struct {
	Type   string
	Digest string // its Content-Digest, empty if none is sent
	Form   bool   // Type has the form's boundary, so no other is sent
}

// Of returns the headers of an item's request, and reports whether they are its own. If not, other
// items share them and they must not be changed. If asked is set, they are its own. It fails if a
// variable has a value that no header can have.
func (m *Maker) Of(
	it item.Item, c Content, vars template.Values, asked bool,
) (h http.Header, own bool, err error) {
	foreign := m.isForeign(it)
	own = asked || it.Header != nil || c.Form || foreign || c.Digest != "" ||
		len(m.Filled) > 0
	if h, ok := m.shared.Load(c.Type); ok && !own {
		return h.(http.Header), false, nil
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
		if err := m.fill(h, vars); err != nil {
			return nil, false, err
		}
	}
	maps.Copy(h, it.Header)
	if c.Form {
		h.Set("Content-Type", c.Type)
	}
	if !own {
		m.shared.Store(c.Type, h)
	}
	return h, own, nil
}

// fill puts the fields with variables into h. One that has no value yet is left out.
func (m *Maker) fill(h http.Header, vars template.Values) error {
	for _, f := range m.Filled {
		delete(h, f.Name)
	}
	for _, f := range m.Filled {
		if slices.ContainsFunc(f.Value.Vars(), func(name string) bool {
			v, ok := vars(name)
			return ok && v.Kind == template.Later
		}) {
			continue
		}
		value, _, err := f.Value.Expand(nil, vars)
		if err != nil {
			return fmt.Errorf("the header %s: %w", f.Name, err)
		}
		h[f.Name] = append(h[f.Name], string(value))
	}
	return nil
}

// Refill fills in again, for the content that an item has by now, what depends on that. It returns
// h or, if it changes anything, a copy. A field that a redirected request does not have was left
// out.
func (m *Maker) Refill(
	h http.Header, redirected bool, it item.Item, vars template.Values,
) (http.Header, error) {
	if !m.volatile() || m.isForeign(it) {
		return h, nil
	}
	had := h
	h = h.Clone()
	err := m.fill(h, vars)
	for _, f := range m.Filled {
		if own, ok := it.Header[f.Name]; ok {
			h[f.Name] = own
		}
		if redirected && had[f.Name] == nil {
			delete(h, f.Name)
		}
	}
	return h, err
}

func (m *Maker) volatile() bool {
	for _, f := range m.Filled {
		if slices.ContainsFunc(f.Value.Vars(), template.Volatile) {
			return true
		}
	}
	return false
}

// ToAsk returns the headers for asking a server about an item that is not sent.
func (m *Maker) ToAsk(it item.Item) http.Header {
	h := http.Header{"User-Agent": {m.UserAgent}}
	if !m.isForeign(it) {
		maps.Copy(h, m.All)
		_ = m.fill(h, it.Value) // what cannot be sent was not sent with the item either
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
