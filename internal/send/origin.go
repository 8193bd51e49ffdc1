package send

import (
	"fmt"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/source"
)

// Identified reports whether servers are shown something for all items that says who we are.
func (o Options) Identified() bool { return len(o.Header) > 0 || o.Network.Certified() }

// HeaderOrigin returns which server the headers, the token and the certificate are for that were
// given for all items, where a manifest may name any: the one of the URL for all
// lines, else the only one that the lines name. Which one of several is not for us
// to guess.
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
			return "", fmt.Errorf(`the manifest names %s and %s, and headers, a token or a certificate are given for all lines: say by --to which server gets them, or put headers into the lines' "headers"`,
				home, origin)
		}
	}
	return home, nil
}

// foreign reports whether an item goes to a server that must not see what was
// given for all, and says so the first time.
func (r *run) foreign(it item.Item) bool {
	if r.HeaderOrigin == "" || nethttp.OriginOf(it.URL) == r.HeaderOrigin {
		return false
	}
	r.toldForeign.Do(func() {
		what := "headers and token"
		if r.Network.Certified() {
			what = "headers, token and client certificate"
		}
		r.Log.Info(fmt.Sprintf("%s are sent to %s only; %s and the other files for other servers are sent without them", what, r.HeaderOrigin, human.Printable(it.Path)))
	})
	return true
}
