package adaptive

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A bucket of any size that asks for a pause with each refusal, and is full again after it, is
// known by its refusals of single requests.
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
					sent := Ticket{at: now, number: number, inFlight: 1}
					e.sent(&sent, true)
					now = now.Add(ms/2 + time.Duration(rnd.Int64N(int64(ms))))
					if i < burst {
						e.accept(sent, true)
					} else {
						e.refuse(sent, now)
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
	now := time.Unix(0, 0)
	c := New(Limits{InFlight: 8}, now)
	for want := 1; want <= 4; want++ {
		sent := c.Sent(now)
		if sent.inFlight != want {
			t.Errorf("request %d has %d in flight", want, sent.inFlight)
		}
		now = now.Add(10 * ms)
		c.Done(sent, Sample{Signal: SignalSuccess}, now)
	}
}
