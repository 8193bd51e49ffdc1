package send

import (
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// Identified reports whether servers are shown something for all items that says who we are.
func (o Options) Identified() bool { return len(o.Header) > 0 || o.Network.Certified() }

// HeaderOrigin returns which server gets the headers, the token and the certificate that were given
// for all items, where a manifest may name any server: the one of the URL for all lines, or the
// only one that the lines name. It does not guess one of several.
func HeaderOrigin(to string, lines *source.Source) (string, error) {
	if to != "" {
		return nethttp.OriginOf(to), nil
	}
	var home string
	for it, err := range lines.Items() {
		if err != nil {
			continue // it is reported when its turn comes
		}
		origin := nethttp.OriginOf(it.URL)
		switch {
		case home == "":
			home = origin
		case origin != home:
			return "", status.SeveralOrigins(home, origin)
		}
	}
	return home, nil
}

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

// Exposed returns a warning about what is secret and goes to a server without encryption; "" if
// nothing given for all items does. What single items have of their own is not looked at.
func (o Options) Exposed() string {
	to := o.To
	if o.HeaderOrigin != "" {
		to = o.HeaderOrigin
	}
	return status.Exposed(to, o.Header, o.Network.Certified())
}

// exposed writes a warning, the first time.
func (r *run) exposed(warning string) {
	if warning != "" {
		r.toldExposed.Do(func() { r.Log.Warn(warning) })
	}
}
