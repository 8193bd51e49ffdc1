package status

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/resume"
)

func TestResume(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	one := http.Header{"Authorization": {"Bearer x"}, "X-Set": {"1"}}
	two := http.Header{"Authorization": {"Bearer x"}, "Date": {"1"}}
	ended := journal.Earlier{
		Runs: 1, Last: now.Add(-time.Hour),
		Counts: journal.Counts{item.Delivered: 1234, item.InFlight: 2},
	}
	killed := ended
	killed.Killed, killed.Counts = true, nil
	notes := func(r Resumed) string { return strings.Join(r.Notes(now), "\n") }
	for _, c := range []struct{ got, want string }{
		{Left(resume.None, nil), ""},
		{Left(resume.Arrived, nil), "delivered earlier"},
		{Left(resume.Excluded, nil), "not asked for by --only"},
		{Left(resume.Repeated, nil),
			"the same file goes to the same URL as another item of this run"},
		{Left(resume.Ambiguous, nil), "duplicate of another item of this run (credentials in the " +
			"URL do not count): leave one out, or give each a key of its own"},
		{Left(resume.Ambiguous, one), "duplicate of another item of this run (credentials in the " +
			"URL and the header Authorization do not count): " +
			"leave one out, or give each a key of its own"},
		{Left(resume.Ambiguous, two), "duplicate of another item of this run (credentials in the " +
			"URL and the headers Authorization, Date do not count): " +
			"leave one out, or give each a key of its own"},
		{Left(resume.AmbiguousBody, nil), "another line has the same path and goes to the same " +
			"URL, perhaps with another body: give each line a key of its own, or leave one out"},
		{Left(resume.InDoubt, nil), "it may have arrived in an earlier run"},
		{Left(resume.CutOff, nil),
			"it may have arrived in an earlier run, which ended while it was sent"},
		{Left(resume.KeyForgotten, nil), "it may have been accepted, and the server may have " +
			"forgotten its idempotency key since (--key-lifetime)"},
		{BadKey(&resume.KeyError{Key: "a\nü"}), "the key a ü cannot be sent in quotes, which " +
			"take ASCII only: use another key, or --key-format bare"},

		{Journal("j.db", journal.Earlier{}, true, now), "journal j.db: new"},
		{Journal("j.db", ended, true, now), "journal j.db continues: 1,234 delivered, 2 in flight" +
			"; last run ended today 11:00"},
		{Journal("j.db", killed, true, now), "journal j.db continues: 0 delivered; " +
			"last run was cut off today 11:00, and files that were in flight are sent again"},
		{Journal("j.db", killed, false, now), "journal j.db continues: 0 delivered; " +
			"last run was cut off today 11:00"},

		{notes(Resumed{}), ""},
		{notes(Resumed{Skipped: map[resume.Reason]int64{resume.Arrived: 1234}, LastRun: now}),
			"1,234 skipped: delivered earlier (last run today 12:00) and not changed since; " +
				"--again sends them again"},
		{notes(Resumed{Skipped: map[resume.Reason]int64{resume.Excluded: 2, resume.Repeated: 3}}),
			"2 skipped: not asked for by --only"},
		{notes(Resumed{Found: 5, Absent: 1}), "--verify: of the files in doubt the server had 5; " +
			"1 was sent again, since it did not have it"},
		{notes(Resumed{Absent: 2}), "--verify: of the files in doubt the server had 0; " +
			"2 were sent again, since it did not have them"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
