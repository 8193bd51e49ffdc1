package send

import (
	"strings"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/verify"
)

// asks reports whether the server can be asked if it has an item, and is to be.
func (o *Options) asks(it item.Item) bool { return o.Verify && verify.OwnURL(it, o.shared()) }

// shared reports whether all items may go to one URL.
func (o *Options) shared() bool { return !strings.Contains(o.To, "{") }

// CheckVerify returns an error if Verify is set and the server can be asked about no item.
func (o *Options) CheckVerify() error {
	if !o.Verify || !o.shared() {
		return nil
	}
	n := 0
	if !o.Found.Partial { // standard input is read once
		for it, err := range o.Source.Items() {
			if err != nil {
				continue // it is reported when its turn comes
			}
			if n++; verify.OwnURL(it, true) {
				return nil
			}
		}
	}
	if n == 0 && !(o.Found.Partial && nethttp.SharesURL(o.Source.Method())) {
		return nil
	}
	return status.NothingToAsk(o.Source.OwnURLs())
}
