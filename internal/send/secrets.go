package send

import (
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/secret"
)

// hide makes a text about an item fit to be shown: a server may send back there what it was sent.
func (r *run) hide(it item.Item, text string) string {
	if text == "" {
		return ""
	}
	return human.Printable(r.secrets.With(it.Header, it.URL).Show(text))
}

// clean returns an error with a text that may be shown.
func (r *run) clean(err error) error {
	if text := human.Printable(r.secrets.Show(err.Error())); text != err.Error() {
		return &secret.Error{Text: text, Err: err}
	}
	return err
}
