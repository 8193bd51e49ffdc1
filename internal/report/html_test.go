package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/test"
)

// texts returns what a page says, without its marks, style and spaces.
func texts(page string) string {
	for _, rest := range []string{`(?s)<style>.*?</style>`, `<[^>]*>`, `\s+`} {
		page = regexp.MustCompile(rest).ReplaceAllString(page, " ")
	}
	return strings.ReplaceAll(page, "  ", " ")
}

// [report page] The page of a run says what its summary says, and needs neither a script nor
// anything from elsewhere.
func TestHTML(t *testing.T) {
	s := troubled()
	s.Next = []string{"to go on: penstock send --to 'https://h/files/{name}' data",
		"give the same paths on standard input"}
	var b strings.Builder
	test.OK(t, s.encodeHTML(&b))
	page := b.String()
	for _, evil := range []string{
		"<script", "src=", "http-equiv=\"refresh", "\x1b", "\u202e", "<p><p>",
	} {
		if strings.Contains(page, evil) {
			t.Errorf("the page has %q", evil)
		}
	}
	for address := range strings.SplitSeq(page, "href=") {
		if strings.HasPrefix(address, `"h`) {
			t.Errorf("the page refers to %.40s", address)
		}
	}
	text := texts(page)
	for _, want := range []string{
		" penstock send to https://h/files/{name} · began ",
		" exit status 10: a limit that you set ended the run ",
		" Of 130,000 files 1,327 failed, 7 unknown, 40 deferred, 8,126 not sent; 120,000 delivered",
		" Found 130,000 Delivered 120,000 Failed 1,327 Unknown 7 Skipped 500 Deferred 40 Not sent 8,126 ",
		" Sent 124,510 Accepted 120,000 Refused 3,210 3,000 too many, 203 overloaded or " +
			"unreachable, 7 timed out Errors 1,300 ",
		" Pace learned 12 in flight ",
		" 1,200 files failed, HTTP 400 record 0: no field &#34;id0&#34; ",
		" 100 files failed, HTTP 413 too large: 0 bytes data/big-0.csv ",
		" cool-downs 10 m ",
		" 95th percentile 38 ms ",
		" the server wants nothing before 2026-03-02 06:00 UTC ",
		" to go on penstock send --to &#39;https://h/files/{name}&#39; data ",
		" give the same paths on standard input ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// A short run, or one without a request, has no empty parts.
func TestShortHTML(t *testing.T) {
	for _, s := range []Summary{short(), NewTally(start).Summary(start, 0)} {
		var b strings.Builder
		test.OK(t, s.encodeHTML(&b))
		text := texts(b.String())
		for _, part := range []string{
			"Notes", "What to do next", "What held it back", "NaN", "Inf",
		} {
			if strings.Contains(text, part) {
				t.Errorf("%s: %s", part, text)
			}
		}
	}
}

func TestWriteHTML(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	for range 2 {
		test.OK(t, CheckHTML(path))
		test.OK(t, WriteHTML(path, smooth()))
	}
	info, err := os.Stat(path)
	test.OK(t, err)
	if os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	onlyFile(t, dir)
	test.OK(t, os.WriteFile(path, []byte("<!DOCTYPE html>\n<html>mine"), 0o600))
	if err := CheckHTML(path); err == nil ||
		!strings.Contains(err.Error(), "was not written by penstock") {
		t.Errorf("over another page: %v", err)
	}
}

// An outage is not a gap that nothing explains.
func TestOutageInHTML(t *testing.T) {
	for limit, want := range map[progress.Limit]bool{
		progress.LimitDown: true, progress.LimitRate: false,
	} {
		s := short()
		s.Timeline = new(progress.Timeline)
		s.Timeline.Add(&progress.Snapshot{Limit: limit})
		s.Timeline.Add(&progress.Snapshot{Limit: limit, Elapsed: time.Second})
		var b strings.Builder
		test.OK(t, s.encodeHTML(&b))
		if got := strings.Contains(b.String(), `class="key down">server down<`); got != want {
			t.Errorf("%s: %v", limit, got)
		}
	}
}

// The chart has what was in flight between two looks, as the number beside it does.
func TestPeaksInHTML(t *testing.T) {
	s := short()
	s.Timeline = new(progress.Timeline)
	for i, peak := range []int{1, 6, 2} {
		at := time.Duration(i) * time.Second / 4
		s.Timeline.Add(&progress.Snapshot{Elapsed: at, InFlight: 1, Peak: peak})
	}
	var b strings.Builder
	test.OK(t, s.encodeHTML(&b))
	if want := "<p>Most in flight, on a scale to 6</p>"; !strings.Contains(b.String(), want) {
		t.Errorf("no %s", want)
	}
}
