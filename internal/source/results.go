package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/template"
)

// picked reads the manifest, once, for which of its lines are the last of their items and asked
// for.
func (s *Source) picked(ctx context.Context) (_ *results.Lines, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.picks == nil {
		s.picks, err = results.SelectLines(ctx, s.opts.Manifest, s.opts.Only)
	}
	return s.picks, err
}

// selected reads Options.From, once.
func (s *Source) selected(ctx context.Context) (_ *results.Selection, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.selection == nil {
		s.selection, err = results.Select(ctx, s.opts.From, s.opts.Only)
	}
	return s.selection, err
}

// resultItem makes an item of a line. Its path is as the run knew it that wrote the line: relative
// to the working directory.
func (s *Source) resultItem(p *iteration, r results.Result) (item.Item, error) {
	it := item.Item{Path: r.Path, Rel: r.Rel, Method: strings.ToUpper(r.Method)}
	if !r.KeyMade {
		it.Key = r.Key
	}
	if it.Method != "" {
		if err := checkMethod(it.Method); err != nil {
			return it, err
		}
	}
	if err := checkHeaderValue(it.Key); err != nil {
		return it, fmt.Errorf(`"key": %w`, err)
	}
	// That a file is gone may be the very reason why it failed; the others can still be sent.
	fi, err := statRegular(it.Path)
	if err != nil {
		return it, &deferredError{err}
	}
	vars := urlValues(&it)
	if lack, ok := errors.AsType[*lackError](s.checkUses(&it)); ok {
		return it, &Mistake{Kind: VariableLost,
			Text: fmt.Sprintf("the results do not have {%s} of %s", lack.name, lack.in)}
	}
	t, shown := s.opts.Template, r.URL
	// What depends on the content in a URL may be something else by now.
	if whole(shown) && (t == nil || !slices.ContainsFunc(t.Vars(), template.Volatile)) {
		u, err := template.LiteralURL(shown)
		if err != nil {
			return it, fmt.Errorf(`"url": %w`, err)
		}
		u.AuthorizeLike(t)
		return it, s.complete(p, &it, u, fi, vars)
	}
	mistake := func(kind MistakeKind, about string) error {
		return &Mistake{kind, "the results hide a part of the URL " + human.Quote(shown), about,
			nil}
	}
	if t == nil {
		return it, mistake(URLHidden, "")
	}
	for _, name := range t.Vars() {
		if v, ok := vars(name); !ok || v == (template.Value{}) {
			return it, mistake(URLNeedsVariable, name)
		}
	}
	if err := s.complete(p, &it, t, fi, vars); err != nil {
		return it, err
	}
	place, _, _ := strings.Cut(it.URL, "?")
	was, _, _ := strings.Cut(shown, "?")
	if was != place && was != "" && was != secret.Mask && !template.Incomplete(place) {
		return it, mistake(URLDiffers, conceal.URL(it.URL))
	}
	return it, nil
}

// whole reports whether results show all of a URL.
func whole(url string) bool {
	_, query, _ := strings.Cut(url, "?")
	return url != "" && url != secret.Mask && !strings.Contains(query, secret.Mask)
}
