package status

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/wire"
)

// Every reason to end has words, wherever it stands in an error.
func TestReasons(t *testing.T) {
	until := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	broken := errors.New("results: no space")
	full := &journal.Error{Path: "p", Err: errors.New("no space"), Remedy: journal.MakeRoom}
	interrupted := stop.Interrupted{Err: &exit.Signal{Signal: os.Interrupt}}
	said := make(map[string]bool)
	for _, c := range []struct {
		reason error
		want   string
	}{
		{stop.MaxDuration{Limit: time.Hour}, "--max-duration 1 h is over"},
		{stop.GaveUp{After: time.Minute, Trouble: "503", Until: until},
			"nothing was accepted for 1 m (--give-up-after): 503; " +
				"the server asked us to wait until 2026-03-01T22:00:00Z"},
		{stop.GaveUp{After: time.Minute, Ours: true},
			"nothing was accepted for 1 m, nor ever before; try again later"},
		{stop.LastRefused{Items: 2, After: 2 * time.Minute},
			"the last 2 files were refused for 2 m while nothing else was left; " +
				"others that were sent after them were accepted"},
		{stop.ResultsFailed{Err: broken}, "--results: no space"},
		{stop.ResultsFailed{Err: broken, Journaled: true},
			"--results: no space; penstock journal export writes them again"},
		{stop.JournalFailed{Err: full},
			"journal p: no space; make room, then give the same command again"},
		{stop.SourceFailed{Err: errors.New("source: no line")}, "no line"},
		{interrupted, "interrupted"},
		{stop.StopTimeout{Interrupted: interrupted, Limit: time.Second},
			"interrupted, and --stop-timeout 1 s is over"},
		{stop.LeftAlone{Until: until},
			"the server asked us to wait until 2026-03-01T22:00:00Z"},
		{stop.LeftAlone{Until: until, Source: "quota", MaxWait: time.Hour},
			"our quota at the server is used up until 2026-03-01T22:00:00Z, " +
				"longer than --max-wait 1 h"},
		{stop.LeftAlone{Until: until, Source: ByHand, MaxWait: time.Hour},
			"paused by hand until 2026-03-01T22:00:00Z, longer than --max-wait 1 h"},
		{stop.LeftAlone{Until: until, Source: QuotaByHand, MaxWait: time.Hour},
			"the quota is paused by hand until 2026-03-01T22:00:00Z, longer than --max-wait 1 h"},
		{stop.LeftAlone{Until: until, Earlier: true, At: until},
			"the server asked in an earlier run to wait until " + until.Local().Format("15:04")},
		{stop.RefusesAll{Code: 404, Items: 21},
			"the last 21 answers were 404 Not Found and nothing was accepted: check the URL"},
		{stop.RefusesAll{Code: 404, Items: 21, Before: true},
			"the last 21 answers were 404 Not Found and nothing was accepted " +
				"since the first of them: check the URL"},
		{stop.InDoubt{}, "twenty files in a row may have been accepted, " +
			"and none is known to be: check at the server which of them arrived"},
		{stop.Unreachable{}, "check the URL, the proxy and the TLS settings"},
		{stop.Unreachable{Cause: &wire.Cause{Kind: wire.SpeaksTLS, Text: "x speaks TLS"}},
			"x speaks TLS: use https://"},
		{stop.Unreached{}, "the server cannot be reached as configured"},
		{stop.At{Host: "h", ServerReason: stop.RefusesAll{Code: 404, Items: 21}},
			"h: the last 21 answers were 404 Not Found and nothing was accepted: check the URL"},
		{stop.Ending{Reason: stop.InDoubt{}}, "the run is ending"},
	} {
		said[reflect.TypeOf(c.reason).Name()] = true
		if got := Plain(c.reason); got != c.want {
			t.Errorf("%T: %q, want %q", c.reason, got, c.want)
		}
		if got := Plain(fmt.Errorf("PUT u: %w", c.reason)); got != "PUT u: "+c.want {
			t.Errorf("%T in an error: %q", c.reason, got)
		}
	}
	types := reasonTypes(t)
	if len(types) < len(said) {
		t.Errorf("the types are %q", types)
	}
	for _, name := range types {
		if !said[name] {
			t.Errorf("stop.%s has no row here", name)
		}
	}
}

// reasonTypes returns the names of the errors that the package stop has.
func reasonTypes(t *testing.T) (names []string) {
	files, err := filepath.Glob("../stop/*.go")
	test.OK(t, err)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		test.OK(t, err)
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.Name == "Error" {
				names = append(names, fmt.Sprint(m.Recv.List[0].Type))
			}
		}
	}
	return names
}
