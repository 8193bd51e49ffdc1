package rules

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Effect is what an answer means that a rule matches.
type Effect uint8

const (
	None     Effect = iota // no rule speaks of it: what HTTP says holds
	Accept                 // the server took the item
	Reject                 // it refused the item, for good
	Retry                  // it did not process the request, and may take it next time
	Throttle               // it was asked too much, as a 429 says
	// Unread is an answer that a rule is about but that could not be read, or looked at, whole.
	Unread
)

// effects are the effects by the name of their flag.
var effects = map[Effect]string{Accept: "accept", Reject: "reject", Retry: "retry-on",
	Throttle: "throttle-on"}

// String returns an effect as the name of its flag.
func (e Effect) String() string { return effects[e] }

// A span is statuses from the first to the last.
type span struct{ first, last int }

// A rule is one of a Set.
type rule struct {
	effect Effect
	name   string // for people: its flag and what was written, shortened
	spans  []span
	test   *Query // nil if the status is enough
}

func (r *rule) covers(status int) bool {
	return slices.ContainsFunc(r.spans, func(s span) bool {
		return s.first <= status && status <= s.last
	})
}

// A Set is rules in an order: the first that matches an answer decides. The zero value has none.
// Once it is in use it must not change, and may be used concurrently.
type Set struct{ rules []rule }

// Add adds a rule, or those of a dialect, behind those that are there.
func (s *Set) Add(effect Effect, text string) error {
	if d, ok := dialects[text]; ok {
		if d.effect != effect {
			return fmt.Errorf("%s is a set of rules for --%s", text, d.effect)
		}
		for _, rule := range d.rules {
			if err := s.add(effect, rule); err != nil {
				return err
			}
			s.rules[len(s.rules)-1].name = nameOf(effect, text)
		}
		return nil
	}
	return s.add(effect, text)
}

func (s *Set) add(effect Effect, text string) error {
	statuses, test, tests := strings.Cut(text, ":")
	r := rule{effect: effect, name: nameOf(effect, text)}
	for part := range strings.SplitSeq(statuses, ",") {
		span, err := readSpan(strings.TrimSpace(part))
		if err != nil {
			if names := Dialects(effect); names != nil && !tests {
				err = fmt.Errorf("%w; or a set of rules by its name: %s", err,
					strings.Join(names, ", "))
			}
			return err
		}
		r.spans = append(r.spans, span)
	}
	if tests {
		var err error
		if r.test, err = ParseQuery(test); err != nil {
			return fmt.Errorf("its test %s: %w", quoted(test), err)
		}
	}
	s.rules = append(s.rules, r)
	return nil
}

func nameOf(effect Effect, text string) string { return "--" + effect.String() + " " + short(text) }

// short returns a text as one line, shortened.
func short(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// quoted shows a text in one line, shortened.
func quoted(text string) string { return strconv.Quote(short(text)) }

// readSpan reads a status, a class, a range or any.
func readSpan(text string) (span, error) {
	if text == "any" {
		return span{200, 999}, nil
	}
	if len(text) == 3 && strings.EqualFold(text[1:], "xx") && '1' <= text[0] && text[0] <= '9' {
		first := int(text[0]-'0') * 100
		return span{first, first + 99}, nil
	}
	low, high, isRange := strings.Cut(text, "-")
	first, err := readStatus(low)
	last := first
	if err == nil && isRange {
		last, err = readStatus(high)
	}
	if err != nil || last < first {
		return span{}, fmt.Errorf("%q is not a status: want 200, 2xx, 200-204, any, "+
			"or several with commas, and after a colon a test in jq", text)
	}
	return span{first, last}, nil
}

func readStatus(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || n < 100 {
		return 0, errors.New("not a status")
	}
	return n, nil
}

// IsEmpty reports whether there are no rules.
func (s *Set) IsEmpty() bool { return len(s.rules) == 0 }

// Covers reports whether a rule is about a status.
func (s *Set) Covers(status int) bool {
	return slices.ContainsFunc(s.rules, func(r rule) bool { return r.covers(status) })
}

// A Verdict is what an answer means by the rules.
type Verdict struct {
	Effect Effect
	// Rule is the one that decided, with its flag; of an answer that was to pass a test of --accept
	// and did not, the first of these.
	Rule string
	// NoMatch reports whether the answer is rejected because it passed no test of --accept.
	NoMatch bool
	Err     error  // of an Unread answer: why
	Body    []byte // of the answer, as far as it was read

	whole *Answer // if its body was read whole
}

// WithoutBody returns the verdict alone, for one that is kept.
func (v Verdict) WithoutBody() Verdict {
	v.Body, v.whole = nil, nil
	return v
}

// WithHead returns the verdict with no more than the beginning of the body.
func (v Verdict) WithHead(n int) Verdict {
	head := bytes.Clone(v.Body[:min(n, len(v.Body))])
	v = v.WithoutBody()
	v.Body = head
	return v
}

// Judge returns what an answer means. The answer's body is read if a test needs it, and a body put
// in its place that begins anew.
func (s *Set) Judge(resp *http.Response) Verdict {
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	var whole *Answer
	read, wanted := false, ""
	for i := range s.rules {
		r := &s.rules[i]
		if !r.covers(a.Status) {
			continue
		}
		if r.test == nil {
			return Verdict{Effect: r.effect, Rule: r.name, Body: a.Body, whole: whole}
		}
		if !read && r.test.looksAtBody() {
			read = true
			var err error
			if a.Body, err = readBody(resp); err != nil {
				return Verdict{Effect: Unread, Rule: r.name, Err: err, Body: a.Body}
			}
			whole = a
		}
		matches, err := r.test.Test(a)
		switch {
		case err != nil:
			return Verdict{Effect: Unread, Rule: r.name, Err: err, Body: a.Body}
		case matches:
			return Verdict{Effect: r.effect, Rule: r.name, Body: a.Body, whole: whole}
		case r.effect == Accept:
			wanted = cmp.Or(wanted, r.name)
		}
	}
	if wanted != "" {
		return Verdict{Effect: Reject, Rule: wanted, NoMatch: true, Body: a.Body, whole: whole}
	}
	return Verdict{Body: a.Body, whole: whole}
}

// MaxRead is how long an answer's body may take to come.
const MaxRead = 30 * time.Second

// errLong is the error of a body that is longer than MaxBody.
var errLong = fmt.Errorf("the answer is longer than %d MiB", MaxBody>>20)

// kept is a body that was read, or its beginning and what follows.
type kept struct {
	io.Reader
	io.Closer
}

// readBody reads an answer's body, within bounds, and puts one in its place that begins anew. Of a
// body that comes compressed, asked for or not, it returns the content.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.Body == nil || resp.Body == http.NoBody || resp.ContentLength == 0 {
		return nil, nil
	}
	body := resp.Body
	late := time.AfterFunc(MaxRead, func() { body.Close() })
	var text bytes.Buffer
	if n := resp.ContentLength; 0 < n && n <= MaxBody {
		text.Grow(int(n) + bytes.MinRead) // else it would grow to find the end
	}
	_, err := text.ReadFrom(io.LimitReader(body, MaxBody+1))
	if !late.Stop() && err != nil {
		err = fmt.Errorf("the answer took longer than %v", MaxRead)
	}
	resp.Body = kept{io.MultiReader(bytes.NewReader(text.Bytes()), body), body}
	switch {
	case err != nil:
		return text.Bytes(), err
	case text.Len() > MaxBody:
		return text.Bytes(), errLong
	case bytes.HasPrefix(text.Bytes(), []byte("\x1f\x8b")):
		return unzip(text.Bytes())
	}
	return text.Bytes(), nil
}

func unzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return packed, err
	}
	text, err := io.ReadAll(io.LimitReader(z, MaxBody+1))
	if err == nil && len(text) > MaxBody {
		err = errLong
	}
	return text, err
}
