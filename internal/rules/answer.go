package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Answer is what queries are about. Its body is decoded when one needs that: first only the
// members of its object that the query names, and if another query needs more, all of it. It
// belongs to one goroutine at a time.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // all of it, at most MaxBody

	decoded bool
	members []string // that were decoded; nil if all were
	value   any
	err     error
}

// json returns the body as JSON, nil if it is none; of an object only these members, or more. If
// members is nil, all. The error is errTooLarge.
func (a *Answer) json(members []string) (any, error) {
	switch {
	case !a.decoded:
		a.members = members
	case a.members == nil || members != nil && !slices.ContainsFunc(members,
		func(name string) bool { return !slices.Contains(a.members, name) }):
		return a.value, a.err
	default:
		a.members = nil
	}
	a.decoded = true
	if a.value, a.err = decode(a.Body, a.members); a.err != nil && !errors.Is(a.err, errTooLarge) {
		a.value, a.err = nil, nil
	}
	return a.value, a.err
}

// header returns the first value of each field, by lower-case names.
func (a *Answer) header() map[string]any {
	fields := make(map[string]any, len(a.Header))
	for name, values := range a.Header {
		if len(values) > 0 {
			fields[strings.ToLower(name)] = values[0]
		}
	}
	return fields
}

// decode returns the value of a text that is one value of JSON, as gojq wants it; of an object
// these members, all if nil. Some servers put a byte order mark before it.
func decode(text []byte, members []string) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(bytes.TrimPrefix(text, []byte("\ufeff"))),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	left := maxWeight
	v, err := decodeValue(d, &left, members)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// decodeValue returns the next value; of an object these members, all if nil. What it weighs is
// taken from left.
func decodeValue(d *jsontext.Decoder, left *int, members []string) (any, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if *left -= nodeWeight; *left < 0 {
		return nil, errTooLarge
	}
	switch t.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return t.Bool(), nil
	case '0':
		return number(t.String()), nil
	case '"':
		s := t.String()
		if *left -= len(s); *left < 0 {
			return nil, errTooLarge
		}
		return s, nil
	case '[':
		array := []any{}
		for d.PeekKind() != ']' {
			v, err := decodeValue(d, left, nil)
			if err != nil {
				return nil, err
			}
			array = append(array, v)
		}
		_, err := d.ReadToken()
		return array, err
	}
	object := map[string]any{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if members != nil && !slices.Contains(members, key) {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		if *left -= len(key); *left < 0 {
			return nil, errTooLarge
		}
		if object[key], err = decodeValue(d, left, nil); err != nil {
			return nil, err
		}
	}
	_, err = d.ReadToken()
	return object, err
}

// maxDigits is how long a number may be whose digits are all kept.
const maxDigits = 40

// number returns a number as it was written, so that a long identifier keeps its digits.
func number(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if len(text) <= maxDigits {
		return json.Number(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f = math.Copysign(math.MaxFloat64, f)
	}
	return f
}
