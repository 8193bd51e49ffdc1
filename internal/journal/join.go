package journal

import "github.com/penstock/penstock/internal/item"

// join returns what is known of an item by the rows of two journals. Joining one of them again
// changes nothing.
func join(a, b Item) Item {
	if a.print() != b.print() {
		return joinContents(a, b)
	}
	if better(b, a) {
		a, b = b, a
	}
	a.Attempts = max(a.Attempts, b.Attempts)
	if len(a.Digest) == 0 {
		a.Digest = b.Digest
	}
	if a.State == item.Delivered {
		return a
	}
	if b.Doubt && !a.Doubt { // the server may know it by that key
		a.Key, a.KeyMade, a.KeyUnsent, a.KeyMore = b.Key, b.KeyMade, b.KeyUnsent, b.KeyMore
		a.Doubt, a.First = true, b.First
	}
	a.Older = a.Older || b.Older
	return a
}

// better reports whether a says more of the same content than b, or the same and later.
func better(a, b Item) bool {
	if x, y := known[a.State], known[b.State]; x != y {
		return x > y
	}
	return a.Last.After(b.Last)
}

// known is how much a state says. What may have arrived comes before what failed: it must not be
// sent again without a question.
var known = map[item.Fate]int{
	item.Delivered: 4, item.Unknown: 3, item.InFlight: 3, item.Failed: 2, item.Deferred: 1,
}

// joinContents is join for two contents: the later one holds, as in a journal that has had both.
func joinContents(a, b Item) Item {
	if b.Last.After(a.Last) {
		a, b = b, a
	}
	a.Older = a.Older || b.Older || b.Doubt || known[b.State] >= known[item.Unknown]
	return a
}
