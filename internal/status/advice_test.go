package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/verify"
)

// What to do follows what is wrong, wherever that stands in a text.
func TestAdvice(t *testing.T) {
	closed := errors.New("closed")
	for _, c := range []struct {
		err  error
		want string
	}{
		{closed, "closed"},
		{fmt.Errorf("source: x: %w (1)", &source.Mistake{Text: "has a NUL"}),
			"x: has a NUL: put one path per line, or give --null (-0) (1)"},
		{&source.Mistake{Kind: source.Unreadable, Text: "no", Err: closed},
			"no: closed; --exclude leaves it out"},
		{&source.Mistake{Kind: source.URLDiffers, Text: "hidden", About: "http://%s"},
			"hidden, but --to gives http://%s: give the --to of that run, or its paths and the " +
				"results with --from"},
		{&source.Mistake{Kind: source.URLUnfilled, Text: "{x}"},
			`{x} of --to: write the value out, or leave "url" out (%7B is a real brace)`},
		{&source.AllLeftOutError{LeftOut: source.LeftOut{source.Young: 1}},
			"; left out: 1 younger than --min-age (-v names them)"},
		{&journal.Error{Path: "j", Err: closed}, "journal j: closed"},
		{&journal.Error{Path: "j", Err: closed, Remedy: journal.UseAnother},
			"journal j: closed; use that one, or another --journal FILE"},
		{&journal.Error{Path: "j", Err: closed, Remedy: journal.CopyWithLog},
			"journal j: closed; copy it and j-wal to another"},
		{&statedir.NoDirError{Err: closed}, "no directory for journals: closed; set " +
			"PENSTOCK_STATE to one, or give --journal FILE or --no-journal"},
		{&verify.NoAnswerError{Err: fmt.Errorf("GET http://u:p@h/: %w", io.EOF)},
			"connection lost"},
		{&verify.NoAnswerError{Err: context.Canceled}, "no answer"},
	} {
		want := c.want
		if want[0] == ';' {
			want = c.err.Error() + want
		}
		if got := Plain(c.err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for kind := source.PathWithNUL; kind <= source.URLUnfilled; kind++ {
		if mistakes[kind] == "" {
			t.Errorf("no advice for kind %d", kind)
		}
	}
	for remedy := journal.NameFile; remedy <= journal.EndOther; remedy++ {
		if remedies[remedy] == "" && remedy != journal.CopyWithLog {
			t.Errorf("no words for remedy %d", remedy)
		}
	}
}

func TestLeftOut(t *testing.T) {
	for want, left := range map[string]source.LeftOut{
		"": {},
		"left out: 1 special file (-v names them)":           {source.Special: 1},
		"left out: 5 of this run (-v names them)":            {source.Read: 3, source.Written: 2},
		"left out: 3 younger than --min-age (-v names them)": {source.Young: 3},
		"left out: 1 hidden, 2 editor leftovers (--hidden sends hidden files; -v names them)": {
			source.Hidden: 1, source.Leftover: 2},
		"left out: 1 hidden, 2 links (--hidden sends hidden files; --follow follows links; " +
			"-v names them)": {source.Hidden: 1, source.Links: 2},
	} {
		if got := LeftOut(left); got != want {
			t.Errorf("%+v: %q, want %q", left, got, want)
		}
	}
	for why := range source.Young + 1 {
		if WhyLeftOut(why) == "" {
			t.Errorf("no words for reason %d", why)
		}
	}
}
