package status

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/resume"
)

// LeftInDoubt says what is known of an item that an earlier run has left in doubt.
const LeftInDoubt = "it may have arrived in an earlier run"

// KeyForgotten says [resume.ErrKeyForgotten].
var KeyForgotten = resume.ErrKeyForgotten.Error() + " (--key-lifetime)"

// whyLeft says why an item is not sent.
var whyLeft = map[resume.Reason]string{
	resume.Arrived:   "delivered earlier",
	resume.Excluded:  "not asked for by --only",
	resume.Repeated:  "the same file goes to the same URL as another item of this run",
	resume.Duplicate: "another item of this run has the same key, or goes to the same URL",
	resume.Ambiguous: "duplicate of another item of this run (%s do not count): " +
		"leave one out, or give each a key of its own",
	resume.AmbiguousBody: "another line has the same path and goes to the same URL, perhaps " +
		"with another body: give each line a key of its own, or leave one out",
	resume.InDoubt:      LeftInDoubt,
	resume.CutOff:       LeftInDoubt + ", which ended while it was sent",
	resume.KeyForgotten: KeyForgotten,
}

// Left says why an item is not sent. The header is that of its line in a manifest.
func Left(why resume.Reason, header http.Header) string {
	if why == resume.Ambiguous {
		return fmt.Sprintf(whyLeft[why], uncounted(header))
	}
	return whyLeft[why]
}

// NotSent says how many items a dry run would not send, and why.
func NotSent(skipped map[resume.Reason]int64, unknown, held int64) (lines []string) {
	for _, row := range []struct {
		n    int64
		text string
	}{
		{skipped[resume.Arrived], "skipped: %s, delivered by an earlier run"},
		{skipped[resume.Excluded], "skipped: %s, not asked for by --only"},
		{skipped[resume.Repeated], "skipped: %s, the same file for the same URL as another"},
		{unknown, "not sent: %s that may have arrived in an earlier run; " +
			"--resend-unknown sends them again"},
		{held, "not sent: %s to servers that asked for a longer wait than --max-wait"},
	} {
		if row.n > 0 {
			lines = append(lines, fmt.Sprintf(row.text, human.Count(row.n)))
		}
	}
	return lines
}

// uncounted names what may differ between two items that are the same.
func uncounted(h http.Header) string {
	const text = "credentials in the URL"
	switch names := resume.Uncounted(h); len(names) {
	case 0:
		return text
	case 1:
		return text + " and the header " + names[0]
	default:
		return text + " and the headers " + strings.Join(names, ", ")
	}
}

// BadKey says that an item's idempotency key cannot be sent.
func BadKey(e *resume.KeyError) string {
	return "the key " + human.Printable(e.Key) +
		" cannot be sent in quotes, which take ASCII only: use another key, or --key-format bare"
}

// Journal says where the journal of a run is and what earlier runs have left there. If resent, and
// the last of them was cut off, what was in flight is not recorded and is sent again.
func Journal(path string, e journal.Earlier, resent bool, now time.Time) string {
	if e.Runs == 0 {
		return "journal " + path + ": new"
	}
	ended, and := "ended", ""
	if e.Killed {
		ended = "was cut off"
		if resent {
			and = ", and files that were in flight are sent again"
		}
	}
	return fmt.Sprintf("journal %s continues: %s; last run %s %s%s",
		path, e.Counts, ended, human.When(e.Last, now), and)
}

// NoJournal says why no journal is kept with a practice server.
const NoJournal = "no journal is kept: the practice server ends with the run"

// JournalFailed is the error of an item that is not sent since the journal has failed.
func JournalFailed(err error) error {
	return fmt.Errorf("not sent, since the journal has failed: %w", err)
}

// NotNoted is the error of an item that is not sent since the journal could not note it.
func NotNoted(err error) error {
	return fmt.Errorf("not sent, since the journal could not note it: %w", err)
}

// Settling says that the server is asked about so many items after a wait.
func Settling(items int, wait time.Duration) string {
	return fmt.Sprintf("asking about %s in %s: the server may still be at work on them",
		human.Plural(items, "unknown file"), human.Span(wait))
}

// Found is a note that the server, asked for an item, says that it has it.
func Found(by string) string { return "the server has it, by " + by }

// Absent says that the server, asked for an item, does not have it.
func Absent(path string) string {
	return path + ": the server does not have it, so it is sent again"
}

// AskedInVain is added to the error of an item in doubt that its server was asked for.
func AskedInVain(note string) string { return "; asked for it: " + note }

// Resumed is what a run did by what earlier runs had done.
type Resumed struct {
	Skipped       map[resume.Reason]int64
	Found, Absent int64     // items in doubt that servers said that they have, or do not have
	LastRun       time.Time // when the last of the earlier runs ended
}

// Notes says so, for a summary.
func (r Resumed) Notes(now time.Time) (notes []string) {
	if n := r.Skipped[resume.Arrived]; n > 0 {
		notes = append(notes, fmt.Sprintf("%s skipped: delivered earlier (last run %s) and not "+
			"changed since; --again sends them again", human.Count(n), human.When(r.LastRun, now)))
	}
	if n := r.Skipped[resume.Excluded]; n > 0 {
		notes = append(notes, human.Count(n)+" skipped: not asked for by --only")
	}
	if r.Found+r.Absent > 0 {
		note := "--verify: of the files in doubt the server had " + human.Count(r.Found)
		switch {
		case r.Absent == 1:
			note += "; 1 was sent again, since it did not have it"
		case r.Absent > 1:
			note += "; " + human.Count(r.Absent) + " were sent again, since it did not have them"
		}
		notes = append(notes, note)
	}
	return notes
}
