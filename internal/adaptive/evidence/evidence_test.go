package evidence

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
			var e Evidence
			now, number, refused := time.Unix(0, 0), int64(0), 0
			for ; refused < most && !e.OfRate(); refused++ {
				for i := range burst + 1 {
					number++
					sent := Request{At: now, Number: number, InFlight: 1}
					e.Sent(&sent, true)
					now = now.Add(ms/2 + time.Duration(rnd.Int64N(int64(ms))))
					if i < burst {
						e.Accept(sent, true)
					} else {
						e.Refuse(sent, now)
					}
				}
				now = now.Add(time.Second)
			}
			if !e.OfRate() {
				t.Errorf("burst %d, seed %d: not known after %d refusals", burst, seed, refused)
			}
		}
	}
}

const ms = time.Millisecond
