package send

import (
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/status"
)

// foreign reports whether an item goes to a server that must not see what was given for all, and
// says so the first time.
func (r *run) foreign(it item.Item) bool {
	if r.HeaderOrigin == "" || nethttp.OriginOf(it.URL) == r.HeaderOrigin {
		return false
	}
	r.toldForeign.Do(func() {
		r.Log.Info(status.Withheld(r.HeaderOrigin, it.Path, r.Network.Certified()))
	})
	return true
}

// exposed writes a warning, the first time.
func (r *run) exposed(warning string) {
	if warning != "" {
		r.toldExposed.Do(func() { r.Log.Warn(warning) })
	}
}
