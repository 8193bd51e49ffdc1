package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/internal/board"
)

// maxUpstreams bounds how many servers have metrics: a manifest may name any number.
const maxUpstreams = 100

// The metrics: of all, of each server, of a run, and of a relay.
var (
	info    = desc("build_info", "Always 1; the labels say what runs.", "version", "command")
	started = desc("start_timestamp_seconds", "When it began, in Unix time.")
	paused  = desc("paused", "1 while a person has paused it, else 0.")
	drains  = desc("draining", "1 while nothing new is taken, else 0.")
	servers = desc("upstreams", "Servers that requests go to; the first 100 have metrics.")

	requests = upstream("requests_total", "Requests sent, those that were repeated included.")
	answers  = upstream("responses_total",
		"How requests ended: throttled, overloaded and timed_out are refusals.", "outcome")
	inFlight = upstream("in_flight", "Requests in flight.")
	waiting  = upstream("waiting", "Requests that wait for their turn.")
	waited   = upstream("wait_seconds_total",
		"For how long each limit was the one that held requests back.", "reason")
	latency = upstream("latency_seconds", "Fading mean of the latency of accepted requests.")
	pace    = upstream("rate_limit", "Requests a second allowed, given or found.")
	limit   = upstream("in_flight_limit", "Requests in flight allowed, given or found.")
	found   = upstream("limit_found", "1 if one of the two limits was found, else 0.")
	down    = upstream("down", "1 while the server is down, and tried now and then; else 0.")
	resumes = upstream("closed_until_timestamp_seconds",
		"Until when nothing more is sent, in Unix time.")

	items    = desc("items_total", "Files of the run by how they ended.", "outcome")
	known    = desc("items_known", "Files of the run known of so far.")
	complete = desc("items_complete", "1 if these are all, 0 while more may come.")
	done     = desc("items_done_bytes", "Bytes delivered, skipped or under way.")
	size     = desc("items_known_bytes", "Bytes of the files known of.")
	left     = desc("remaining_seconds", "Estimated time until the end of the run.")
	ended    = desc("end_timestamp_seconds", "When it ended, in Unix time.")
	exit     = desc("exit_status", "The exit status with which it ended; 0 is well.")

	clients = desc("client_requests_total", "Requests of clients of the relay.")
	replies = desc("client_responses_total", "How these ended: answered by the server or the "+
		"cache, refused at once, failed (502, 503, 504), lost as the client went away, or stored to be "+
		"delivered later.", "outcome")
	queued     = desc("queue_requests", "Requests that wait in the relay.")
	queueBytes = desc("queue_bytes", "Bytes of the bodies of requests that wait in the relay.")
	queueAge   = desc("queue_oldest_age_seconds", "For how long the first of them has waited.")

	cacheHits   = desc("cache_hits_total", "Answers from the cache.")
	cacheMisses = desc("cache_misses_total", "Requests for which the server was asked.")
	cacheStale  = desc("cache_stale_total", "Old answers from the cache while a server was down.")
	cacheBytes  = desc("cache_bytes", "Bytes of all answers in the cache.")

	stored = desc("stored_requests",
		"Requests accepted to be delivered later that are on record.", "state")
	storedBytes = desc("stored_bytes", "Bytes of those that were not delivered yet.")
	storedAge   = desc("stored_oldest_age_seconds", "For how long the first of them has waited.")
)

var all []*prometheus.Desc

func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("penstock_"+name, help, labels, nil)
	all = append(all, d)
	return d
}

func upstream(name, help string, labels ...string) *prometheus.Desc {
	return desc("upstream_"+name, help, append([]string{"upstream"}, labels...)...)
}

// A collector shows a state. Servers that the state has forgotten are no longer shown; one that
// comes back begins at zero, as after a restart.
type collector struct {
	state  func() board.State
	ended  time.Time // with that exit status; if zero, it goes on
	status int
}

// Describe sends what Collect may use.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range all {
		descs <- d
	}
}

// Collect sends the numbers of this instant.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	s, to := c.state(), sink(metrics)
	to.gauge(info, 1, label(s.Version), s.Command)
	to.gauge(started, unix(s.Started))
	to.flag(paused, s.Paused)
	to.flag(drains, s.Draining)
	to.gauge(servers, float64(len(s.Upstreams)))
	for _, u := range s.Upstreams[:min(len(s.Upstreams), maxUpstreams)] {
		to.upstream(u)
	}
	if s.Items != nil {
		to.items(s.Items)
	}
	if s.Queue != nil {
		to.queue(s.Queue)
	}
	if k := s.Cache; k != nil {
		to.count(cacheHits, k.Hits)
		to.count(cacheMisses, k.Misses)
		to.count(cacheStale, k.Stale)
		to.gauge(cacheBytes, float64(k.Bytes))
	}
	if s.Stored != nil {
		to.stored(s.Stored)
	}
	if !c.ended.IsZero() {
		to.gauge(ended, unix(c.ended))
		to.gauge(exit, float64(c.status))
	}
}

// A sink takes metrics.
type sink chan<- prometheus.Metric

func (to sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (to sink) count(d *prometheus.Desc, n int64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (to sink) flag(d *prometheus.Desc, is bool, labels ...string) {
	value := 0.
	if is {
		value = 1
	}
	to.gauge(d, value, labels...)
}

// known sends a value that is known unless it is zero.
func (to sink) known(d *prometheus.Desc, value float64, labels ...string) {
	if value != 0 {
		to.gauge(d, value, labels...)
	}
}

func (to sink) upstream(u board.Upstream) {
	name := label(u.Name)
	to.count(requests, u.Sent, name)
	to.count(answers, u.Accepted, name, "accepted")
	to.count(answers, u.Throttled, name, "throttled")
	to.count(answers, u.Overloaded, name, "overloaded")
	to.count(answers, u.TimedOut, name, "timed_out")
	to.count(answers, u.Failed, name, "failed")
	to.gauge(inFlight, float64(u.InFlight), name)
	to.gauge(waiting, float64(u.Waiting), name)
	for reason, seconds := range u.Waited {
		to <- prometheus.MustNewConstMetric(waited, prometheus.CounterValue, seconds, name, reason)
	}
	to.known(latency, u.Latency, name)
	to.known(pace, u.Rate, name)
	to.known(limit, float64(u.InFlightLimit), name)
	to.flag(found, u.Found, name)
	to.flag(down, u.Phase == "down", name)
	if !u.Until.IsZero() {
		to.gauge(resumes, unix(u.Until), name)
	}
}

func (to sink) items(i *board.Items) {
	to.count(items, i.Delivered, "delivered")
	to.count(items, i.Failed, "failed")
	to.count(items, i.Unknown, "unknown")
	to.count(items, i.Skipped, "skipped")
	to.count(items, i.Deferred, "deferred")
	to.gauge(known, float64(i.Total))
	to.flag(complete, i.Known)
	to.gauge(done, float64(i.Bytes))
	to.known(size, float64(i.AllBytes))
	to.known(left, i.Left)
}

func (to sink) queue(q *board.Queue) {
	to.count(clients, q.Requests)
	to.count(replies, q.Answered, "answered")
	to.count(replies, q.Refused, "refused")
	to.count(replies, q.Failed, "failed")
	to.count(replies, q.Lost, "lost")
	to.count(replies, q.Stored, "stored")
	to.gauge(queued, float64(q.Waiting))
	to.gauge(queueBytes, float64(q.Bytes))
	to.gauge(queueAge, q.Oldest)
}

func (to sink) stored(s *board.Stored) {
	to.gauge(stored, float64(s.Waiting), "waiting")
	to.gauge(stored, float64(s.InFlight), "in_flight")
	to.gauge(stored, float64(s.Delivered), "delivered")
	to.gauge(stored, float64(s.Failed), "failed")
	to.gauge(stored, float64(s.Unknown), "unknown")
	to.gauge(storedBytes, float64(s.Bytes))
	to.gauge(storedAge, s.Oldest)
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
