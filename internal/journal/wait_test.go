package journal

import (
	"testing"
	"testing/synctest"
	"time"
)

// Waits are there for the next run, also after a kill, until they are over; a clock that was set
// back makes none longer.
func TestWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := dir + "/j.db"
		begin := time.Now()
		open := func(want ...Wait) *Journal {
			t.Helper()
			j, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "waits", j.Waits(), want)
			return j
		}
		short := Wait{"http://a", begin, begin.Add(time.Minute)}
		long := Wait{"http://b", begin, begin.Add(time.Hour)}
		j := open()
		j.KeepWait(short)
		j.KeepWait(Wait{"http://b", begin, begin.Add(10 * time.Second)})
		j.KeepWait(long)
		mustClose(t, j)
		r := mustRead(t, path)
		waits, err := r.Waits()
		if equal(t, "read", waits, []Wait{short, long}); err != nil {
			t.Error(err)
		}
		r.Close()
		mustClose(t, open(short, long))
		time.Sleep(time.Minute)
		j = open(long)
		// by a clock that is ahead
		later := Wait{"http://c", begin.Add(30 * time.Minute), begin.Add(40 * time.Minute)}
		j.KeepWait(later)
		mustClose(t, j)
		now := time.Now()
		mustClose(t, open(long, Wait{"http://c", later.Asked, now.Add(10 * time.Minute)}))
		time.Sleep(time.Hour)
		mustClose(t, open())
	})
}
