package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/itchyny/gojq"
)

// match puts a function of ours in place of test and capture: their regular expression is compiled
// here, so that its faults are known before anything is sent.
func (s *subset) match(t *gojq.Term) error {
	f := t.Func
	var texts [2]string
	if len(f.Args) == 0 || len(f.Args) > 2 {
		return refuse(fmt.Sprintf("%s/%d", f.Name, len(f.Args)))
	}
	for i, arg := range f.Args {
		if arg.Term == nil || arg.Term.Type != gojq.TermTypeString ||
			arg.Term.Str.Queries != nil || len(arg.Term.SuffixList) > 0 {
			return fmt.Errorf("%s needs its regular expression as a text", f.Name)
		}
		texts[i] = arg.Term.Str.Str
	}
	flags := ""
	for _, flag := range texts[1] {
		switch flag {
		case 'i':
			flags += "i"
		case 's':
			flags += "s"
		default:
			return fmt.Errorf("%s: no flag %q: i and s can be used", f.Name, flag)
		}
	}
	if flags != "" {
		texts[0] = "(?" + flags + ")" + texts[0]
	}
	re, longest, err := compile(texts[0])
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	s.regexps++
	name := fmt.Sprintf("_%s%d", f.Name, s.regexps)
	find := func(text string) any { return re.MatchString(text) }
	if f.Name == "capture" {
		find = func(text string) any { return captures(re, text) }
	}
	s.add(name, 0, func(v any, _ []any) any {
		text, ok := v.(string)
		switch {
		case !ok:
			return errors.New("only a text can be matched")
		case len(text) > longest:
			return errTooLarge
		}
		return find(text)
	})
	t.Func = &gojq.Func{Name: name}
	return nil
}

// maxMatching bounds the work for a regular expression: its instructions, as often as the text has
// bytes. Each may take 100 ns.
const maxMatching = 2_000_000

// compile returns a regular expression, and how long a text it may be matched with.
func compile(text string) (re *regexp.Regexp, longest int, err error) {
	if re, err = regexp.Compile(text); err != nil {
		return nil, 0, err
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, err
	}
	return re, maxMatching / len(program.Inst), nil
}

// captures returns the named groups of the first match, nil if there is none.
func captures(re *regexp.Regexp, text string) any {
	found := re.FindStringSubmatch(text)
	if found == nil {
		return nil
	}
	groups := map[string]any{}
	for i, name := range re.SubexpNames() {
		if name != "" {
			groups[name] = found[i]
		}
	}
	return groups
}
