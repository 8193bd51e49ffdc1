package send

import (
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/verify"
)

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
