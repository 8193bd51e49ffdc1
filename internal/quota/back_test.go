package quota

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/test"
)

// What hosts grant themselves is not sent besides what the server grants, neither when it goes nor
// when it is back.
func TestDownAndBack(t *testing.T) {
	for i, c := range []struct{ hosts, rate int }{{4, 50}, {4, 1000}, {10, 3}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			race.Few(t, i)
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var r record
				ctx, stop := r.context(t)
				defer stop()
				l := newLink(e)
				for i := range c.hosts {
					q, u := e.via(l.dialIf(true), per(float64(c.rate))), upstream()
					q.Attach(u)
					r.saturate(ctx, i, 100, u)
				}
				time.Sleep(30 * time.Second)
				begin := time.Now()
				l.set(true)
				time.Sleep(25 * time.Second)
				l.set(false)
				back := time.Now()
				time.Sleep(25 * time.Second)
				for _, span := range []struct {
					what     string
					from, to time.Time
				}{
					{"down", begin.Add(-time.Second), back},
					{"back", back.Add(-10 * time.Second), time.Now()},
				} {
					_, most := r.windows(span.from, span.to, time.Second)
					least10, most10 := r.windows(span.from, span.to, 10*time.Second)
					t.Logf("%s: %d in a second, %d to %d in 10", span.what, most, least10, most10)
					if most > c.rate+max(3, c.rate*3/100) || least10 < c.rate*5 ||
						most10 > c.rate*10+max(3, c.rate/20) {
						t.Error("too much, or too little")
					}
				}
			})
		})
	}
}

// Hosts that go leave no slots to be granted twice.
func TestManyLeave(t *testing.T) {
	race.Few(t, 1)
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		hosts := r.hosts(ctx, e, 30, 2, 5)
		time.Sleep(time.Minute)
		begin := time.Now()
		for _, q := range hosts[:20] {
			test.OK(t, q.Close(context.Background()))
		}
		time.Sleep(time.Minute)
		if _, most := r.windows(begin, time.Now(), 10*time.Second); most > 22 {
			t.Errorf("%d in 10 s, want 20", most)
		}
		begin = time.Now().Add(-20 * time.Second)
		if least, _ := r.windows(begin, time.Now(), 10*time.Second); least < 19 {
			t.Errorf("%d in 10 s, want 20", least)
		}
	})
}
