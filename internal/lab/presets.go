package lab

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/lab/model"
)

var cpuPreset = preset{Preset{
	Name: "cpu",
	Summary: "cores that all requests share, behind a gateway that answers 504 while the work " +
		"runs on",
	Params: []Param{
		{"cores", "4", "of the machine"},
		{"work", "2s", "of one core, for a request"},
		{"sigma", "0", "spread of the work: it is log-normal, with work as its mean"},
		{"seed", "1", "of the random work"},
		{"timeout", "29s", "of the gateway; 0: none"},
		{"limit", "0", "requests worked on at once, else 503; 0: no limit"},
		{"tenant", "0s",
			"somebody else takes half of the cores in every other such span; 0: never"},
	},
}, func(v *values) rule {
	c := model.CPU{
		Cores:   float64(v.count("cores", 1)),
		Work:    v.duration("work", 0),
		Sigma:   v.sigma(),
		Seed:    v.seed(),
		Timeout: v.duration("timeout", 0),
		Limit:   v.count("limit", 0),
	}
	if span := v.duration("tenant", 0); span > 0 {
		c.Factor = model.Alternate(span, 0.5)
	}
	return modelled{model.NewCPU(c)}
}}

var headersParam = Param{"headers", "false",
	"state the quota in every answer: RateLimit, RateLimit-Policy, X-RateLimit-*, all in " +
		"seconds from now"}

var quotaPreset = preset{Preset{
	Name:    "quota",
	Summary: "a token bucket, else a refusal",
	Params: []Param{
		{"rate", "10", "tokens a second"},
		{"burst", "10", "tokens that the bucket holds"},
		{"service", "100ms", "from the arrival of an accepted request to its answer"},
		{"refusal", "429", "status of a request beyond that: 429, 503, 502 or 509"},
		{"retry-after", "true", "a refusal says when there is a token again"},
		headersParam,
	},
}, func(v *values) rule {
	return modelled{model.NewQuota(model.Quotas{
		Rate:       v.float("rate", 1e-6, 1e9, "a number above 0, such as 10 or 0.5"),
		N:          v.count("burst", 1),
		Service:    v.duration("service", 0),
		Refusal:    v.status("refusal", 429, 503, 502, 509),
		RetryAfter: v.flag("retry-after"),
		Headers:    v.flag("headers"),
	})}
}}

var windowPreset = preset{Preset{
	Name:    "window",
	Summary: "n requests in a window of time, fixed or sliding, else 429",
	Params: []Param{
		{"n", "100", "requests in a window"},
		{"window", "10s", "its length"},
		{"kind", "fixed",
			"fixed: windows begin on the wall clock; sliding: any n+1 requests must span a window"},
		headersParam,
		{"count-refused", "false",
			"refused requests use up quota too (it matters where the window slides)"},
		{"retry-after", "true", "a 429 says when there is quota again"},
	},
}, func(v *values) rule {
	return modelled{model.NewQuota(model.Quotas{
		N:            v.count("n", 1),
		Window:       v.duration("window", time.Nanosecond),
		Sliding:      v.choice("kind", "fixed", "sliding") == "sliding",
		CountRefused: v.flag("count-refused"),
		RetryAfter:   v.flag("retry-after"),
		Headers:      v.flag("headers"),
	})}
}}

var threadsPreset = preset{Preset{
	Name:    "threads",
	Summary: "k workers with a queue before them; 503 when the queue is full",
	Params: []Param{
		{"k", "5", "requests worked on at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
		{"sigma", "0", "spread of the work: it is log-normal, with service as its mean"},
		{"seed", "1", "of the random work"},
		{"backlog", "20", "requests that may wait"},
		{"refusal", "503", "status when the queue is full: 503 or 429"},
	},
}, func(v *values) rule {
	return modelled{model.NewThreads(model.Threads{
		Workers: v.count("k", 1),
		Backlog: v.count("backlog", 0),
		Service: v.duration("service", 0),
		Sigma:   v.sigma(),
		Seed:    v.seed(),
		Refusal: v.status("refusal", 503, 429),
	})}
}}

var connsPreset = preset{Preset{
	Name:    "conns",
	Summary: "n requests at once, else 503",
	Params: []Param{
		{"n", "4", "requests at once"},
		{"service", "100ms", "the work on a request, once its body is read"},
	},
}, func(v *values) rule {
	return modelled{model.NewThreads(model.Threads{Workers: v.count("n", 1),
		Service: v.duration("service", 0)})}
}}

// modelled is the rule of a preset that is a model.
type modelled struct{ model.Model }

func (m modelled) serve(x *exchange) {
	a := m.Serve(x.life, model.Request{
		Bytes: x.r.ContentLength,
		At:    x.at,
		Read:  func() bool { x.read(nil); return x.admit() },
	})
	if a.Quota != nil {
		tell(x.w.Header(), a.Quota)
	}
	switch {
	case x.life.Err() != nil:
		x.breakOff()
	case x.verdict != 0:
		x.answer()
	case a.Status == http.StatusCreated:
		x.store()
		x.answer()
	case a.Status == 0:
		x.reset()
	default:
		x.refuse(a.Status, a.RetryAfter)
	}
}

// tell says a quota as its servers do, in whole seconds.
func tell(h http.Header, q *model.Quota) {
	seconds := func(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
	h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, q.Limit, seconds(q.Window)))
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, q.Remaining, seconds(q.Reset)))
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(q.Remaining))
	// Not a Unix time as some servers send it: in tests on fake time, which begins in the year
	// 2000, that is not told from a delay.
	h.Set("X-RateLimit-Reset", strconv.Itoa(seconds(q.Reset)))
}
