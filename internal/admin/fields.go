package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// fields are those of a JSON object that were not taken yet.
type fields map[string]json.RawMessage

// readFields reads an object. No body is an object without fields.
func readFields(body []byte) (fields, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	var f fields
	d := json.NewDecoder(bytes.NewReader(body))
	err := d.Decode(&f)
	if err == nil {
		if _, more := d.Token(); f == nil || more != io.EOF {
			err = errors.New("something else is there")
		}
	}
	if err != nil {
		return nil, fmt.Errorf(`the body is not a JSON object, such as {"target": ""}: %v`, err)
	}
	return f, nil
}

// take takes out a field, if it is there, and returns whether it is null. Want is what is wanted.
func (f fields) take(name, want string, to any) (null bool, err error) {
	text, given := f[name]
	delete(f, name)
	if !given {
		return false, nil
	}
	if string(text) == "null" {
		return true, nil
	}
	if json.Unmarshal(text, to) != nil {
		return false, f.want(name, want, text)
	}
	return false, nil
}

func (f fields) want(name, want string, text []byte) error {
	return fmt.Errorf("%s: want %s, not %s", name, want,
		human.Printable(human.Cut(string(text), 100)))
}

// target reads the name of a target. Empty is all of them.
func (f fields) target(to *string) error {
	_, err := f.take("target", "the name of a target, a text", to)
	return err
}

// rate reads requests a second. Null is 0, and what is not there stays nil.
func (f fields) rate(to **float64) error {
	const want = "requests a second, a number from 0.0001 to 1000000000, or null"
	text := f["rps"]
	null, err := f.take("rps", want, to)
	switch {
	case null:
		*to = new(float64)
	case err == nil && *to != nil && !(**to >= 1e-4 && **to <= 1e9):
		return f.want("rps", want, text)
	}
	return err
}

// inFlight reads a number of requests likewise.
func (f fields) inFlight(to **int) error {
	const want = "requests in flight, a whole number above 0, or null"
	text := f["concurrency"]
	null, err := f.take("concurrency", want, to)
	switch {
	case null:
		*to = new(int)
	case err == nil && *to != nil && (**to < 1 || **to > math.MaxInt32):
		return f.want("concurrency", want, text)
	}
	return err
}

// length reads a duration. Null, as none, is 0.
func (f fields) length(to *time.Duration) error {
	const want = `a time such as "5m"`
	var s string
	text, given := f["for"]
	null, err := f.take("for", want, &s)
	if err != nil || null || !given {
		return err
	}
	if *to, err = human.ParseDuration(s); err != nil || *to <= 0 {
		return f.want("for", want, text)
	}
	return nil
}

// rest is an error for a field that was not taken. Known are the names of those that are.
func (f fields) rest(known string) error {
	if len(f) == 0 {
		return nil
	}
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	unknown := human.Quote(slices.Min(names))
	if known == "" {
		return fmt.Errorf("%s: there is no such field, nor any other", unknown)
	}
	return fmt.Errorf("%s: there is no such field; known are %s", unknown, known)
}
