package retry

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A call that is not known to be delivered reports whether the request may have arrived.
func TestResultSaysWhatMayHaveArrived(t *testing.T) {
	lost := try{err: io.ErrUnexpectedEOF, stage: connected}
	two := Policy{Attempts: 2, Base: 1, Factor: 1}
	for name, row := range map[string]struct {
		method string
		tries  []try
		cancel time.Duration
		want   Outcome
		may    bool
	}{
		"no answer":           {"PUT", []try{lost}, 0, Failed, true},
		"no answer, then 404": {"PUT", []try{lost, {status: 404}}, 0, Failed, true},
		"no answer, then 429": {"PUT", []try{lost, {status: 429, header: "Retry-After: 7200"}}, 0,
			Deferred, true},
		"no answer, then 201": {"PUT", []try{lost, {status: 201}}, 0, Delivered, false},
		"500":                 {"PUT", []try{{status: 500}}, 0, Failed, true},
		"502 with Retry-After": {"PUT", []try{{status: 502, header: "Retry-After: 7200"}}, 0,
			Deferred, true},
		"404": {"PUT", []try{{status: 404}}, 0, Failed, false},
		"408": {"PUT", []try{{status: 408}}, 0, Failed, false},
		"503": {"PUT", []try{{status: 503, header: "Retry-After: 7200"}}, 0,
			Deferred, false},
		"cancelled in flight": {"PUT", []try{{status: 200, delay: time.Hour}}, time.Second,
			Deferred, true},
		"cancelled in a wait": {"PUT", []try{{status: 429, header: "Retry-After: 60"}},
			time.Second, Deferred, false},
		"never sent": {"PUT", []try{{err: notBeforeError{}}}, 0, Deferred, false},
		"POST":       {"POST", []try{lost}, 0, Unknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, events := over(play(row.tries...), two)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if row.cancel > 0 {
					time.AfterFunc(row.cancel, cancel)
				}
				resp, err := c.Do(request(t, row.method, "x").WithContext(ctx))
				r := OutcomeOf(resp, err)
				check(t, "outcome", r.Outcome, row.want)
				check(t, "uncertain", r.Uncertain, row.may)
				some := false
				for _, e := range *events {
					some = some || e.Uncertain
				}
				check(t, "uncertain events", some && r.Outcome != Delivered, row.may)
				if err != nil {
					check(t, "said", strings.Count(err.Error(), "may have been accepted"),
						map[bool]int{true: 1}[row.may])
				}
			})
		})
	}
}
