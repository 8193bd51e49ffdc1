// Package rules says what an answer means, and what is kept of it, by jq expressions about its
// status, header and body. Whatever the expression and the answer are, that takes little time and
// memory.
package rules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// MaxBody is how long an answer's body may be to be looked at.
const MaxBody = 1 << 20

const (
	maxText  = 4 << 10                // of an expression
	maxSteps = 1_000_000              // of gojq's machine, 30 ms or so
	maxTime  = 100 * time.Millisecond // steps may take long
	// maxWeight bounds each value, its texts and nodeWeight for each value within it, so that every
	// function that is linear takes milliseconds and a few MiB.
	maxWeight  = 2 << 20
	nodeWeight = 32
)

// Why a query came to no result, although a longer look might have found one.
var (
	ErrTooLong  = fmt.Errorf("it takes more than %v or %d steps", maxTime, maxSteps)
	errTooLarge = errors.New("a value is too large")
)

// Unfinished reports whether a query's error says that its bounds were reached, and nothing of the
// answer.
func Unfinished(err error) bool {
	return errors.Is(err, ErrTooLong) || errors.Is(err, errTooLarge)
}

// A Query is an expression in jq, within what the file subset.go allows. It is safe for concurrent
// use.
type Query struct {
	text                 string
	code                 *gojq.Code
	json, header, asText bool     // it looks at these
	members              []string // of the body, if that is an object; nil if all of it
}

// variables are what an expression may use, in the order of their values in run.
var variables = []string{"$status", "$header", "$text"}

// ParseQuery compiles an expression.
func ParseQuery(text string) (*Query, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("it is empty")
	}
	parsed, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it is not jq: %w", err)
	}
	s := subset{}
	if err := s.query(parsed, 0); err != nil {
		return nil, err
	}
	code, err := gojq.Compile(parsed, append(s.options, gojq.WithVariables(variables))...)
	if err != nil {
		return nil, err
	}
	q := &Query{text: text, code: code, json: s.json, header: s.used["$header"],
		asText: s.used["$text"]}
	if !s.whole {
		q.members = append([]string{}, s.members...)
	}
	return q, nil
}

func (q *Query) looksAtBody() bool { return q.json || q.asText }

// String returns the expression.
func (q *Query) String() string { return q.text }

// First returns the expression's first output, nil if it has none. An error that is not Unfinished
// is the expression's own: it indexes a text, say. The value is of the types that encoding/json
// decodes into, and int, json.Number and *big.Int.
func (q *Query) First(a *Answer) (any, error) {
	running <- struct{}{}
	defer func() { <-running }()
	var body any
	if q.json {
		var err error
		if body, err = a.json(q.members); err != nil {
			return nil, err
		}
	}
	var header, text any
	if q.header {
		header = a.header()
	}
	if q.asText {
		text = strings.ToValidUTF8(string(a.Body), "\ufffd")
	}
	v, ok := q.code.RunWithContext(&budget{}, body, a.Status, header, text).Next()
	if !ok {
		return nil, nil
	}
	if _, large := v.(*gojq.HaltError); large {
		return nil, errTooLarge
	}
	if err, failed := v.(error); failed {
		return nil, err
	}
	return v, small(v)
}

// Test reports whether the first output is neither false nor null. An expression that fails says
// no; only an error that is Unfinished is returned.
func (q *Query) Test(a *Answer) (bool, error) {
	v, err := q.First(a)
	if err != nil {
		if Unfinished(err) {
			return false, err
		}
		return false, nil
	}
	return v != nil && v != false, nil
}

// running bounds the queries that run at a time, and so their memory. They wait for nothing but the
// processor.
var running = make(chan struct{}, runtime.GOMAXPROCS(0))

// A budget is the context of one run. gojq asks for Done before each step, so that they can be
// counted without a goroutine or a timer.
type budget struct {
	steps int
	began time.Time
}

const checkTime = 32 // steps between two looks at the clock: each may take milliseconds

var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (b *budget) Done() <-chan struct{} {
	if b.steps++; b.steps%checkTime == 0 {
		if b.began.IsZero() {
			b.began = time.Now()
		} else if time.Since(b.began) > maxTime {
			b.steps = math.MaxInt - 1
		}
	}
	if b.steps > maxSteps {
		return over
	}
	return nil
}

func (b *budget) Err() error                { return ErrTooLong }
func (*budget) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*budget) Value(any) any               { return nil }

var _ context.Context = (*budget)(nil)
