package retry

import (
	"net/http"
	"testing"
	"testing/synctest"
)

// A gateway that answers 504 with a Retry-After may have passed the request on, whatever it asks for.
func TestRefusedAndUncertain(t *testing.T) {
	for status, uncertain := range map[int]bool{429: false, 500: true, 502: true, 503: false, 504: true, 524: true} {
		synctest.Test(t, func(t *testing.T) {
			c, events := over(play(try{status: status, header: "Retry-After: 7"}, try{status: 201}), exact)
			if resp, err := c.Do(request(t, http.MethodPut, "x")); err != nil || resp.StatusCode != 201 {
				t.Fatal(resp, err)
			}
			check(t, "uncertain", (*events)[0].Uncertain, uncertain)

			// The caller knows better.
			c, events = over(play(try{status: status}, try{status: 201}), exact)
			c.Classify = func(_ *http.Request, resp *http.Response, _ error) Verdict {
				if resp.StatusCode == status {
					return Verdict{Kind: Refused}
				}
				return Verdict{}
			}
			if _, err := c.Do(request(t, http.MethodPut, "x")); err != nil {
				t.Fatal(err)
			}
			check(t, "uncertain", (*events)[0].Uncertain, false)
		})
	}
}
