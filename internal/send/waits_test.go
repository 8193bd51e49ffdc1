package send

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/report"
)

// [waits] A wait that a server asked for is obeyed by the next runs until it is over, and by nobody
// else.
func TestWaitOutlivesTheRun(t *testing.T) {
	onFakeTime(t, 2, inTurn(answering(http.StatusTooManyRequests, "Retry-After", "3600"), atOnce),
		func(w *world) {
			w.Workers, w.MaxWait = 1, time.Minute
			w.ended(w.journaled(), exit.Unavailable, 0, 0, 0, 1, 1)
			asked := w.begin // the first request arrives at once
			if w.got(0, 1) != 1 {
				t.Fatal("nothing was asked at once")
			}
			until := asked.Add(time.Hour)

			// Cron comes every ten minutes; --again makes no difference.
			for i := range 3 {
				time.Sleep(10 * time.Minute)
				if i == 1 {
					w.Again = time.Now()
				}
				s := w.journaled()
				w.ended(s, exit.Unavailable, 0, 0, 0, 0, 2)
				w.says(s, "the server asked in an earlier run to wait until "+
					until.Local().Format("15:04")+
					", longer than --max-wait 1 m")
			}
			if n := w.asks(); n != 1 {
				t.Errorf("%d requests were sent before %v", n-1, until)
			}

			// Another server is not concerned.
			w.to("http://localhost/{path}")
			w.journal(w.db)
			before := w.since()
			w.items(w.run(), report.ItemCounts{Total: 2, Delivered: 2})
			if took := w.since() - before; took > time.Second || w.asks() != 3 {
				t.Errorf("took %v, %d requests", took, w.asks())
			}
			w.to("http://127.0.0.1/{path}")

			// With patience the run waits itself, to the instant.
			w.MaxWait = 2 * time.Hour
			w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 2})
			if n, early := w.got(time.Hour, always), w.got(before+time.Second, time.Hour); n != 2 ||
				early > 0 || w.got(time.Hour, time.Hour+1) == 0 {
				t.Errorf("%d requests, %d of them before %v", n+early, early, until)
			}
			if want := "asked in an earlier run to wait until " +
				until.Local().Format("15:04"); !strings.Contains(w.watch.talk.String(), want) {
				t.Errorf("no %q in the talk", want)
			}
			// After that it is forgotten.
			time.Sleep(time.Second)
			w.Again = time.Now()
			before = w.since()
			w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 2})
			if took := w.since() - before; took > time.Second {
				t.Errorf("took %v", took)
			}
		})
}

// A journal records the origin without credentials, and no wait of years.
func TestWaitKept(t *testing.T) {
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "315360000")
		w.WriteHeader(http.StatusTooManyRequests)
	}, func(w *world) {
		w.MaxWait = time.Minute
		w.to("http://user:sesame@127.0.0.1/{path}")
		w.journaled()
		w.journal(w.db)
		waits := w.Journal.Waits()
		if len(waits) != 1 || waits[0].Origin != "http://127.0.0.1" ||
			!waits[0].Until.Equal(w.begin.Add(48*time.Hour)) {
			t.Errorf("%+v", waits)
		}
		w.Journal.Close(0)
	})
}
