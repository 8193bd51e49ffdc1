package rules

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// own is a function in place of one of gojq's, or of an operator, that would take too much.
type own struct {
	name string
	call func(input any, args []any) any
}

var operators = map[gojq.Operator]own{
	gojq.OpAdd: {"_sum", func(_ any, args []any) any { return sum(args[0], args[1]) }},
	gojq.OpSub: {"_difference", func(_ any, args []any) any {
		return arithmetic("subtract", args[0], args[1],
			func(x, y *big.Int) *big.Int { return x.Sub(x, y) },
			func(x, y float64) float64 { return x - y })
	}},
	gojq.OpMul: {"_product", func(_ any, args []any) any {
		return arithmetic("multiply", args[0], args[1],
			func(x, y *big.Int) *big.Int { return x.Mul(x, y) },
			func(x, y float64) float64 { return x * y })
	}},
	gojq.OpDiv: {"_quotient", func(_ any, args []any) any { return quotient(args[0], args[1]) }},
}

// instead are functions in place of gojq's, by name and the number of their arguments.
var instead = map[string]own{
	"add/0":  {"_add_all", func(v any, _ []any) any { return addAll(v) }},
	"join/1": {"_join", func(v any, args []any) any { return join(v, args[0]) }},
	"split/1": {"_split", func(v any, args []any) any {
		text, ok := v.(string)
		by, also := args[0].(string)
		if !ok || !also {
			return fmt.Errorf("cannot split %s by %s", gojq.TypeOf(v), gojq.TypeOf(args[0]))
		}
		return split(text, by)
	}},
	"fromjson/0": {"_fromjson", func(v any, _ []any) any {
		text, ok := v.(string)
		if !ok {
			return fmt.Errorf("cannot read %s as JSON", gojq.TypeOf(v))
		}
		v, err := decode([]byte(text), nil)
		if err != nil {
			return err
		}
		return v
	}},
	"contains/1": {"_contains", func(v any, args []any) any {
		left := maxSteps
		found, err := contains(v, args[0], &left)
		if err != nil {
			return err
		}
		return found
	}},
}

// throughArgs are functions that use their input in their arguments alone.
var throughArgs = map[string]bool{"any/2": true, "all/2": true, "first/1": true, "last/1": true,
	"isempty/1": true, "limit/2": true, "error/1": true, "empty/0": true, "now/0": true}

// call checks a call, or a variable, and puts one of our functions in place of gojq's.
func (s *subset) call(t *gojq.Term, depth int) error {
	f := t.Func
	if f.Name[0] == '$' {
		if f.Name == "$ENV" || f.Name == "$__loc__" {
			return refuse(f.Name)
		}
		s.use(f.Name)
		return nil
	}
	if !throughArgs[fmt.Sprintf("%s/%d", f.Name, len(f.Args))] {
		s.input()
	}
	if f.Name == "test" || f.Name == "capture" {
		return s.match(t)
	}
	if iterates[f.Name] {
		if err := s.loop(); err != nil {
			return err
		}
	}
	if err := s.queries(depth, f.Args...); err != nil {
		return err
	}
	if strings.HasSuffix(f.Name, "_by") && allowed[f.Name] != 0 && len(f.Args) == 1 {
		// as gojq defines it, but for the check: all that is compared is small together
		t.Func = callOf("_"+f.Name, s.checked(callOf("map", &gojq.Query{Term: &gojq.Term{
			Type: gojq.TermTypeArray, Array: &gojq.Array{Query: f.Args[0]}}}).Term)).Term.Func
		return nil
	}
	if f.Name == "tonumber" && len(f.Args) == 0 { // which takes seconds for a million digits
		s.add("_few_digits", 0, func(v any, _ []any) any {
			if text, ok := v.(string); ok && len(text) > maxText &&
				strings.Trim(text, "+-.0123456789eE") == "" {
				return errTooLarge
			}
			return v
		})
		t.Func = nil
		t.Type, t.Query = gojq.TermTypeQuery, &gojq.Query{Op: gojq.OpPipe,
			Left: callOf("_few_digits"), Right: callOf("tonumber")}
		return nil
	}
	if own, ok := instead[f.Name+"/"+strconv.Itoa(len(f.Args))]; ok {
		q := &gojq.Query{}
		s.replace(q, own, f.Args...)
		t.Func = q.Term.Func
		return nil
	}
	if allowed[f.Name]&(1<<len(f.Args)) == 0 {
		return refuse(fmt.Sprintf("%s/%d", f.Name, len(f.Args)))
	}
	return nil
}
