package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/relay"
)

// summaryOf says what a relay has done.
func summaryOf(s relay.Stats) string {
	text := fmt.Sprintf("%s in %s: %s answered", human.Plural(s.Requests, "request"),
		human.Span(s.Uptime), human.Count(s.Answered))
	for _, part := range []struct {
		n    int64
		what string
	}{
		{s.Cached, "from the cache"}, {s.Failed, "failed"},
		{s.Late, "not sent: they would have waited for too long"},
		{s.Stopping, "not sent: the relay was stopping"},
		{s.Refused - s.Late - s.Stopping, "refused: not as the relay takes them"},
		{s.Lost, "given up by their clients"}, {s.Stored, "stored"},
	} {
		if part.n > 0 {
			text += fmt.Sprintf(", %s %s", human.Count(part.n), part.what)
		}
	}
	if s.StoredDelivered+s.StoredFailed > 0 {
		// One that is retried by hand counts each time.
		text += ". Deliveries of stored requests: " + human.Join(", ",
			human.Some(s.StoredDelivered, "done"),
			human.Some(s.StoredFailed, "failed or in doubt"))
	}
	if s.Sent > 0 {
		text += fmt.Sprintf(". %s to the server", human.Plural(s.Sent, "request"))
	}
	if s.Repeated > 0 {
		text += fmt.Sprintf(", %s of these repeated", human.Count(s.Repeated))
	}
	words := slices.SortedFunc(maps.Keys(s.Troubles), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Troubles[b], s.Troubles[a]), strings.Compare(a, b))
	})
	for i, what := range words {
		words[i] = fmt.Sprintf("%s %s", human.Count(s.Troubles[what]), what)
	}
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	if s.StoreWaiting+s.StoreFailed > 0 {
		text += fmt.Sprintf(". Still stored: %s to be sent", human.Count(s.StoreWaiting))
		if s.StoreFailed > 0 {
			text += fmt.Sprintf(", %s that failed or may have arrived (penstock relay requests)",
				human.Count(s.StoreFailed))
		}
	}
	return text
}
