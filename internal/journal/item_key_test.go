package journal

import "testing"

// Of an item's own key the journal also has whether, and as what, it was sent.
func TestOwnKeys(t *testing.T) {
	for _, c := range []struct {
		it   Item
		sent string
	}{
		{Item{}, ""},
		{Item{Key: "k"}, "k"},
		{Item{Key: "k", KeyMade: true}, "k"},
		{Item{Key: "k", KeyUnsent: true}, ""},
		{Item{Key: "k", KeyMore: "k-12345678"}, "k-12345678"},
	} {
		var got Item
		got.setKey(c.it.keyColumns())
		equal(t, "the item", got, c.it)
		if got.SentKey() != c.sent || got.Result().Key != c.it.Key {
			t.Errorf("%+v was sent with %q", c.it, got.SentKey())
		}
	}
}
