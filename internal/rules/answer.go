package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Answer is what queries are about. Its body is decoded when the first one needs that, and only
// once. It belongs to one goroutine at a time.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // all of it, at most MaxBody

	decoded bool
	value   any
	err     error
}

// JSON returns the body as JSON, nil if it is none. The error is errTooLarge.
func (a *Answer) JSON() (any, error) {
	if !a.decoded {
		a.decoded = true
		if a.value, a.err = decode(a.Body); a.err != nil && !errors.Is(a.err, errTooLarge) {
			a.value, a.err = nil, nil
		}
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

// decode returns the value of a text that is one value of JSON, as gojq wants it.
func decode(text []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true))
	left := maxWeight
	v, err := decodeValue(d, &left)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// decodeValue returns the next value. What it weighs is taken from left.
func decodeValue(d *jsontext.Decoder, left *int) (any, error) {
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
			v, err := decodeValue(d, left)
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
		if *left -= len(key); *left < 0 {
			return nil, errTooLarge
		}
		if object[key], err = decodeValue(d, left); err != nil {
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
