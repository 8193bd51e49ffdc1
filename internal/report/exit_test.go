package report

import (
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/stop"
)

func TestSetExit(t *testing.T) {
	local, items := stop.JournalFailed{}, stop.MaxDuration{}
	all := ItemCounts{Total: 3, Delivered: 2, Skipped: 1}
	failed := ItemCounts{Total: 2, Delivered: 1, Failed: 1}
	for _, test := range []struct {
		name    string
		counts  ItemCounts
		reason  stop.Reason
		known   bool
		gone    int64
		status  int
		matters bool // the reason
	}{
		{"all", all, nil, true, 0, exit.Delivered, false},
		{"all, and then a reason", all, items, true, 0, exit.Delivered, false},
		{"all so far", all, items, false, 0, items.Exit(), true},
		{"all, but something here failed", all, local, true, 0, exit.Local, true},
		{"one is gone", all, nil, true, 1, exit.Items, false},
		{"one failed", failed, nil, true, 0, exit.Items, false},
		{"one unknown", ItemCounts{Total: 1, Unknown: 1}, nil, true, 0, exit.Items, false},
		{"one left", ItemCounts{Total: 1, Deferred: 1}, nil, true, 0, exit.Unavailable, false},
		{"one failed, and a reason", failed, items, true, 0, items.Exit(), true},
	} {
		s := Summary{Items: test.counts}
		if got := s.SetExit(test.reason, test.known, test.gone); s.ExitStatus != test.status ||
			(got != nil) != test.matters {
			t.Errorf("%s: status %d, reason %v; want %d, %v", test.name, s.ExitStatus, got,
				test.status, test.matters)
		}
	}
}
