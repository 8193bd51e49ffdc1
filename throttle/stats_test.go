package throttle

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// What is not limited has no limit in JSON, and no instant where there is none.
func TestStatsInJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := func(v any) string {
			b, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		}
		b := NewBucket(rate.Inf, 2)
		if got, want := text(b.Stats()), `{"Burst":2,"Waiting":0,"Granted":0,"Unclaimed":0}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		b.SetRate(5)
		b.Pause(time.Now().Add(time.Minute))
		if got, want := text(b.Stats()), `{"Rate":5,"Burst":2,"Waiting":0,"Paused":"2000-01-01T00:01:00Z","Granted":0,"Unclaimed":0}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		has := func(limits Limits, want string, not ...string) {
			t.Helper()
			got := text(NewUpstream(limits).Stats())
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s, want %s…", got, want)
			}
			for _, not := range not {
				if strings.Contains(got, not) {
					t.Errorf("%s, want no %s", got, not)
				}
			}
		}
		has(Limits{Fixed: true}, `{"Limits":{`, "e+308", "9223372036854775807", `"Probe"`, `"Paused"`)
		has(Limits{Rate: 5, InFlight: 3}, `{"Limit":3,"Rate":5,"Limits":{`)
	})
}

// What is read from JSON is what was written: no limit does not become a limit of 0, which stops.
func TestStatsFromJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, r := range []rate.Limit{rate.Inf, 0, 5} {
			want := NewBucket(r, 2).Stats()
			var got BucketStats
			if b, err := json.Marshal(want); err != nil || json.Unmarshal(b, &got) != nil || got != want {
				t.Errorf("%s became %+v, want %+v", b, got, want)
			}
		}
		for _, limits := range []Limits{{}, {Fixed: true}, {Rate: 5, InFlight: 3}} {
			want := NewUpstream(limits).Stats()
			var got UpstreamStats
			b, err := json.Marshal(want)
			if err != nil || json.Unmarshal(b, &got) != nil || got.Limit != want.Limit || got.Rate != want.Rate || !reflect.DeepEqual(got.Limits, want.Limits) {
				t.Errorf("%s became %+v, want %+v", b, got, want)
			}
		}
	})
}

// A permit that ends without a signal is counted: an upstream that hears nothing else finds nothing.
func TestUpstreamUnreported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{})
		for i := range 30 {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			switch i % 3 {
			case 0:
				p.Done(Feedback{})
			case 1:
				p.Done(Feedback{Latency: time.Second})
			case 2:
				p.Release()
			}
		}
		if s := u.Stats(); s.Unreported != 30 || s.Limit != 1 {
			t.Errorf("%+v", s)
		}
	})
}
