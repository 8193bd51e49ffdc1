package throttle

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// A bucket of any size that asks for a pause with each refusal, and is full again after it, is known by its refusals of
// single requests.
func TestEvidenceOfBursts(t *testing.T) {
	const most = 24 // refusals
	for burst := 1; burst <= 18; burst++ {
		for seed := range uint64(5) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			var e evidence
			now, number, refused := time.Unix(0, 0), int64(0), 0
			for ; refused < most && !e.ofRate(); refused++ {
				for i := range burst + 1 {
					number++
					ticket := ticket{at: now, number: number, inFlight: 1}
					e.sent(&ticket, true)
					now = now.Add(ms/2 + time.Duration(rnd.Int64N(int64(ms))))
					if i < burst {
						e.accept(ticket, true)
					} else {
						e.refuse(ticket, now)
					}
				}
				now = now.Add(time.Second)
			}
			if !e.ofRate() {
				t.Errorf("burst %d, seed %d: not known after %d refusals", burst, seed, refused)
			}
		}
	}
}

// A server is busy with a request until its answer is read, so that one is in flight yet.
func TestEvidenceCountsAnswersBeingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 8})
		for want := 1; want <= 4; want++ {
			p, err := u.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			if p.ticket.inFlight != want {
				t.Errorf("request %d has %d in flight", want, p.ticket.inFlight)
			}
			time.Sleep(10 * ms)
			p.tell(Feedback{Outcome: Success})
		}
	})
}
