package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// small returns errTooLarge if a value weighs more than maxWeight. Values may share parts.
func small(v any) error {
	left := maxWeight
	if !weigh(v, &left) {
		return errTooLarge
	}
	return nil
}

func weigh(v any, left *int) bool {
	*left -= nodeWeight
	switch v := v.(type) {
	case string:
		*left -= len(v)
	case []any:
		for _, v := range v {
			if *left < 0 || !weigh(v, left) {
				return false
			}
		}
	case map[string]any:
		for k, v := range v {
			if *left -= len(k); *left < 0 || !weigh(v, left) {
				return false
			}
		}
	}
	return *left >= 0
}

// sum is jq's +.
func sum(x, y any) any {
	switch l := x.(type) {
	case nil:
		return y
	case string:
		if r, ok := y.(string); ok {
			if len(l)+len(r) > maxWeight {
				return errTooLarge
			}
			return l + r
		}
	case []any:
		if r, ok := y.([]any); ok {
			return checked(append(l[:len(l):len(l)], r...))
		}
	case map[string]any:
		if r, ok := y.(map[string]any); ok {
			both := maps.Clone(l)
			if both == nil {
				return y
			}
			maps.Copy(both, r)
			return checked(both)
		}
	}
	if y == nil {
		return x
	}
	return arithmetic("add", x, y, func(x, y *big.Int) *big.Int { return x.Add(x, y) },
		func(x, y float64) float64 { return x + y })
}

func checked(v any) any {
	if err := small(v); err != nil {
		return err
	}
	return v
}

// arithmetic calculates with integers, where both are, as long as they have few digits.
func arithmetic(what string, x, y any, ints func(x, y *big.Int) *big.Int,
	floats func(x, y float64) float64) any {
	l, ok := gojq.ToFloat64(x)
	r, also := gojq.ToFloat64(y)
	if !ok || !also {
		return fmt.Errorf("cannot %s %s and %s", what, gojq.TypeOf(x), gojq.TypeOf(y))
	}
	if i, ok := integer(x); ok {
		if j, ok := integer(y); ok {
			switch n := ints(i, j); {
			case n.IsInt64() && int64(int(n.Int64())) == n.Int64():
				return int(n.Int64())
			case n.BitLen() < 4*maxDigits:
				return json.Number(n.String())
			}
		}
	}
	return floats(l, r)
}

func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int:
		return big.NewInt(int64(v)), true
	case json.Number:
		return new(big.Int).SetString(v.String(), 10)
	case *big.Int:
		return new(big.Int).Set(v), v.BitLen() < 4*maxDigits
	}
	return nil, false
}

// addAll is jq's add: of texts, of arrays, of objects or of numbers.
func addAll(v any) any {
	list, ok := elements(v)
	if !ok {
		return fmt.Errorf("cannot add %s", gojq.TypeOf(v))
	}
	var total any
	var text strings.Builder
	for _, v := range list {
		switch l := total.(type) {
		case string: // it is in text
			if r, ok := v.(string); ok {
				text.WriteString(r)
				continue
			}
		case []any:
			if r, ok := v.([]any); ok {
				total = append(l, r...)
				continue
			}
		case map[string]any:
			if r, ok := v.(map[string]any); ok {
				maps.Copy(l, r)
				continue
			}
		case nil:
			switch v := v.(type) {
			case string:
				text.WriteString(v)
			case []any:
				total = slices.Clone(v)
				continue
			case map[string]any:
				total = maps.Clone(v)
				continue
			}
		}
		if v == nil {
			continue
		}
		if total = sum(total, v); failed(total) {
			return total
		}
	}
	if _, ok := total.(string); ok {
		return text.String()
	}
	return total
}

func failed(v any) bool {
	_, ok := v.(error)
	return ok
}

// elements returns an array, or the values of an object by their names.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		list := make([]any, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, v[name])
		}
		return list, true
	}
	return nil, false
}

// join is jq's join.
func join(v, between any) any {
	list, ok := elements(v)
	separator, also := between.(string)
	if !ok || !also {
		return fmt.Errorf("cannot join %s by %s", gojq.TypeOf(v), gojq.TypeOf(between))
	}
	var text strings.Builder
	for i, v := range list {
		if i > 0 {
			text.WriteString(separator)
		}
		switch v := v.(type) {
		case nil:
		case string:
			text.WriteString(v)
		case []any, map[string]any:
			return fmt.Errorf("cannot join %s", gojq.TypeOf(v))
		default:
			told, err := gojq.Marshal(v)
			if err != nil {
				return err
			}
			text.Write(told)
		}
		if text.Len() > maxWeight {
			return errTooLarge
		}
	}
	return text.String()
}

// split is jq's split with a text, and its division of texts.
func split(text, by string) any {
	if text == "" {
		return []any{}
	}
	if (strings.Count(text, by)+1)*nodeWeight > maxWeight {
		return errTooLarge
	}
	parts := []any{}
	for part := range strings.SplitSeq(text, by) {
		parts = append(parts, part)
	}
	return parts
}

// quotient is jq's /.
func quotient(x, y any) any {
	if text, ok := x.(string); ok {
		if by, ok := y.(string); ok {
			return split(text, by)
		}
	}
	l, ok := gojq.ToFloat64(x)
	r, also := gojq.ToFloat64(y)
	switch {
	case !ok || !also:
		return fmt.Errorf("cannot divide %s by %s", gojq.TypeOf(x), gojq.TypeOf(y))
	case r == 0:
		return errors.New("cannot divide by 0")
	}
	if i, ok := x.(int); ok {
		if j, ok := y.(int); ok && i%j == 0 {
			return i / j
		}
	}
	return l / r
}

// contains is jq's contains. It is given up after a number of comparisons.
func contains(x, y any, left *int) (bool, error) {
	if *left--; *left < 0 {
		return false, ErrTooLong
	}
	switch r := y.(type) {
	case string:
		l, ok := x.(string)
		return ok && strings.Contains(l, r), nil
	case []any:
		l, ok := x.([]any)
		if !ok {
			return false, nil
		}
		for _, wanted := range r {
			found := false
			for _, v := range l {
				var err error
				if found, err = contains(v, wanted, left); err != nil {
					return false, err
				}
				if found {
					break
				}
			}
			if !found {
				return false, nil
			}
		}
		return true, nil
	case map[string]any:
		l, ok := x.(map[string]any)
		if !ok {
			return false, nil
		}
		for name, wanted := range r {
			v, ok := l[name]
			if !ok {
				return false, nil
			}
			if found, err := contains(v, wanted, left); err != nil || !found {
				return false, err
			}
		}
		return true, nil
	}
	return gojq.Compare(x, y) == 0, nil
}
