package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// A subset checks that an expression uses only what takes no more than linear time and memory in
// one step, since gojq cannot be interrupted within one, and changes it so that each value that it
// builds is checked by small. Loops and definitions are left out: a test needs none, and without
// them the values that are alive at a time are few.
type subset struct {
	options []gojq.CompilerOption // the functions that are used in place of gojq's
	used    map[string]bool       // variables
	json    bool                  // the answer's body is used
	members []string              // of the body, by name
	whole   bool                  // it is used otherwise, too
	piped   bool                  // the expression at hand is not about the body
	loops   int
	added   map[string]bool
	regexps int
}

const (
	maxDepth = 50
	// maxLoops bounds the iterations, and so how many of them may be under way, each with a copy of
	// what it iterates over.
	maxLoops = 16
)

// allowed are gojq's functions that may be called: with so many arguments, as bits.
var allowed = map[string]uint{}

// iterates are those among them that iterate over their input.
var iterates = map[string]bool{}

func init() {
	for i, names := range [][]string{
		{"length", "utf8bytelength", "keys", "type", "not", "toboolean", "tonumber", "tostring",
			"tojson", "ltrim", "rtrim", "trim", "ascii_downcase", "ascii_upcase",
			"floor", "round", "ceil", "trunc", "fabs", "abs", "min", "max", "sort", "unique",
			"reverse", "flatten", "to_entries", "from_entries", "any", "all", "first", "last",
			"empty", "error", "arrays", "objects", "iterables", "booleans", "numbers", "strings",
			"nulls", "values", "scalars", "isnan", "isfinite", "now", "fromdate", "todate",
			"fromdateiso8601", "todateiso8601", "recurse"},
		{"has", "in", "startswith", "endswith", "ltrimstr", "rtrimstr", "trimstr", "select",
			"map", "any", "all", "first", "last", "isempty", "error",
			"min_by", "max_by", "sort_by", "group_by", "unique_by", "with_entries", "IN",
			"flatten"},
		{"any", "all", "limit", "IN"},
	} {
		for _, name := range names {
			allowed[name] |= 1 << i
		}
	}
	for _, name := range []string{"any", "all", "map", "to_entries", "from_entries", "recurse",
		"with_entries", "min_by", "max_by", "sort_by", "group_by", "unique_by"} {
		iterates[name] = true
	}
}

var formats = []string{"@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64",
	"@base64d"}

// same are functions whose outputs are among their inputs, or small whatever these are.
var same = map[string]bool{"select": true, "any": true, "all": true, "first": true, "last": true,
	"not": true, "length": true, "type": true, "has": true, "in": true, "empty": true,
	"startswith": true, "endswith": true, "isempty": true, "values": true, "error": true}

// query checks and changes an expression.
func (s *subset) query(q *gojq.Query, depth int) error {
	if depth++; depth > maxDepth {
		return errors.New("it is nested too deeply")
	}
	switch {
	case q == nil:
		return nil
	case len(q.FuncDefs) > 0:
		return refuse("def")
	case q.Meta != nil || len(q.Imports) > 0:
		return refuse("import, include and module")
	}
	for _, p := range q.Patterns {
		if err := s.pattern(p); err != nil {
			return err
		}
	}
	if q.Term != nil {
		return s.term(q, depth)
	}
	if err := s.query(q.Left, depth); err != nil {
		return err
	}
	piped := s.piped
	s.piped = piped || q.Op == gojq.OpPipe && len(q.Patterns) == 0
	err := s.query(q.Right, depth)
	s.piped = piped
	if err != nil {
		return err
	}
	switch q.Op {
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv:
		s.replace(q, operators[q.Op], q.Left, q.Right)
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul,
		gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		return refuse(q.Op.String())
	}
	return nil
}

func (s *subset) queries(depth int, all ...*gojq.Query) error {
	for _, q := range all {
		if err := s.query(q, depth); err != nil {
			return err
		}
	}
	return nil
}

// term checks and changes an expression that is one term.
func (s *subset) term(q *gojq.Query, depth int) error {
	t := q.Term
	var err error
	built := false
	switch t.Type {
	case gojq.TermTypeIdentity:
		s.input()
	case gojq.TermTypeRecurse:
		s.input()
		err = s.loop()
	case gojq.TermTypeIndex:
		s.member(t.Index.Name)
		err = s.index(t.Index, depth)
	case gojq.TermTypeFunc:
		built = !same[t.Func.Name]
		err = s.call(t, depth)
	case gojq.TermTypeObject:
		built = true
		for _, kv := range t.Object.KeyVals {
			if kv.KeyString != nil && kv.KeyString.Queries != nil {
				return refuse(`"…\(…)" as a key`)
			}
			switch {
			case kv.Val != nil:
			case strings.HasPrefix(kv.Key, "$"):
				s.use(kv.Key)
			default:
				s.member(kv.Key)
			}
			if err = s.queries(depth, kv.KeyQuery, kv.Val); err != nil {
				return err
			}
		}
	case gojq.TermTypeArray:
		built = true
		err = s.query(t.Array.Query, depth)
	case gojq.TermTypeUnary:
		err = s.query(&gojq.Query{Term: t.Unary.Term}, depth) // which changes the term itself
	case gojq.TermTypeFormat:
		built = true
		switch {
		case !slices.Contains(formats, t.Format):
			return refuse(t.Format)
		case t.Str == nil:
			s.input()
		case t.Str.Queries != nil:
			return refuse(t.Format + ` "…\(…)"`)
		}
	case gojq.TermTypeString:
		err = s.text(t, depth)
	case gojq.TermTypeIf:
		parts := []*gojq.Query{t.If.Cond, t.If.Then, t.If.Else}
		for _, e := range t.If.Elif {
			parts = append(parts, e.Cond, e.Then)
		}
		err = s.queries(depth, parts...)
	case gojq.TermTypeTry:
		err = s.queries(depth, t.Try.Body, t.Try.Catch)
	case gojq.TermTypeQuery:
		err = s.query(t.Query, depth)
	case gojq.TermTypeReduce, gojq.TermTypeForeach, gojq.TermTypeLabel, gojq.TermTypeBreak:
		return refuse("reduce, foreach and label")
	}
	if err != nil {
		return err
	}
	if built {
		inner := *t
		inner.SuffixList = nil
		list := t.SuffixList
		*t = gojq.Term{Type: gojq.TermTypeQuery, SuffixList: list, Query: s.checked(&inner)}
	}
	for _, suffix := range t.SuffixList {
		switch {
		case suffix.Iter:
			err = s.loop()
		case suffix.Index != nil:
			err = s.index(suffix.Index, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// input records that the expression's input is used, and member that of it only a member is, unless
// the name is empty.
func (s *subset) input() { s.member("") }

func (s *subset) member(name string) {
	if s.piped {
		return
	}
	s.json = true
	if name == "" {
		s.whole = true
	} else {
		s.members = append(s.members, name)
	}
}

func (s *subset) loop() error {
	if s.loops++; s.loops > maxLoops {
		return fmt.Errorf("it iterates more than %d times, by [] and the like", maxLoops)
	}
	return nil
}

func (s *subset) use(variable string) {
	if s.used == nil {
		s.used = map[string]bool{}
	}
	s.used[variable] = true
}

// checked returns term | small.
func (s *subset) checked(term *gojq.Term) *gojq.Query {
	s.add("_checked", 0, func(v any, _ []any) any {
		if err := small(v); err != nil {
			return err
		}
		return v
	})
	return &gojq.Query{Op: gojq.OpPipe, Left: &gojq.Query{Term: term}, Right: callOf("_checked")}
}

// index checks .name, .[x] and .[x:y]. An index that is an array would be searched for.
func (s *subset) index(i *gojq.Index, depth int) error {
	if i.Str != nil && i.Str.Queries != nil {
		return refuse(`."…\(…)"`)
	}
	for _, at := range []**gojq.Query{&i.Start, &i.End} {
		q := *at
		if q == nil || q.Term != nil && len(q.Term.SuffixList) == 0 &&
			(q.Term.Type == gojq.TermTypeNumber ||
				q.Term.Type == gojq.TermTypeString && q.Term.Str.Queries == nil) {
			continue
		}
		if err := s.query(q, depth); err != nil {
			return err
		}
		s.add("_key", 0, func(v any, _ []any) any {
			switch v.(type) {
			case []any, map[string]any:
				return errors.New("an index is a name or a number")
			}
			return v
		})
		*at = &gojq.Query{Op: gojq.OpPipe, Left: q, Right: callOf("_key")}
	}
	return nil
}

// text changes "…\(…)" to a sum of texts.
func (s *subset) text(t *gojq.Term, depth int) error {
	if t.Str.Queries == nil {
		return nil
	}
	var sum *gojq.Query
	for _, part := range t.Str.Queries {
		if part.Term == nil || part.Term.Type != gojq.TermTypeString {
			if err := s.query(part, depth); err != nil {
				return err
			}
			part = &gojq.Query{Op: gojq.OpPipe, Left: part,
				Right: callOf("tostring")}
		}
		if sum == nil {
			sum = part
			continue
		}
		next := &gojq.Query{}
		s.replace(next, operators[gojq.OpAdd], sum, part)
		sum = next
	}
	*t = gojq.Term{Type: gojq.TermTypeQuery, Query: sum, SuffixList: t.SuffixList}
	return nil
}

// pattern checks what is right of as.
func (s *subset) pattern(p *gojq.Pattern) error {
	for _, inner := range p.Array {
		if err := s.pattern(inner); err != nil {
			return err
		}
	}
	for _, o := range p.Object {
		if o.KeyQuery != nil || o.KeyString != nil && o.KeyString.Queries != nil {
			return refuse("an expression as a key after as")
		}
		if o.Val != nil {
			if err := s.pattern(o.Val); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuse(what string) error { return fmt.Errorf("%s cannot be used here", what) }

// callOf returns a call as an expression.
func callOf(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc,
		Func: &gojq.Func{Name: name, Args: args}}}
}

// replace makes q a call of one of our functions.
func (s *subset) replace(q *gojq.Query, f own, args ...*gojq.Query) {
	s.add(f.name, len(args), f.call)
	*q = *callOf(f.name, args...)
}

// add makes a function of ours known. That something is too large must not be caught, by ? say, for
// then it would seem to be known what the answer says: of gojq's errors only this one is not.
func (s *subset) add(name string, args int, f func(any, []any) any) {
	if s.added[name] {
		return
	}
	if s.added == nil {
		s.added = map[string]bool{}
	}
	s.added[name] = true
	s.options = append(s.options, gojq.WithFunction(name, args, args, func(v any, args []any) any {
		v = f(v, args)
		if err, failed := v.(error); failed && Unfinished(err) {
			return &gojq.HaltError{}
		}
		return v
	}))
}
