package main

import (
	"math"
	"time"

	"github.com/penstock/penstock/throttle"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

var (
	requests = desc("requests_total", "Requests sent, with those that net/http repeats by itself.")
	refused  = desc("refused_total", "Requests that the server refused, by what it said.", "reason")
	failed   = desc("failed_total", "Requests that the server did not answer well.")
	inFlight = desc("in_flight", "Requests in flight.")
	waiting  = desc("waiting", "Requests that wait for their turn.")
	waited   = desc("waited_seconds_total", "How long each limit held requests back.", "limit")
	pace     = desc("rate", "Requests a second allowed, given or found; if absent, any.")
	limit    = desc("limit", "Requests in flight allowed, given or found; if absent, any.")
	paused   = desc("paused_seconds", "Time until the pause that the server asked for ends.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("upstream_"+name, help, append([]string{"upstream"}, labels...), nil)
}

// A collector shows the upstreams of a Transport. One that the Transport has forgotten is no longer
// shown; if it comes back, its counters begin at zero, as after a restart.
type collector struct{ transport *throttle.Transport }

// Describe sends what Collect may use.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requests, refused, failed, inFlight, waiting, waited, pace,
		limit, paused} {
		descs <- d
	}
}

// Collect sends the numbers of this instant.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for key, upstream := range c.transport.Upstreams() {
		s := upstream.Stats()
		send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, l ...string) {
			labels := append([]string{key}, l...)
			metrics <- prometheus.MustNewConstMetric(d, kind, value, labels...)
		}
		const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
		send(requests, counter, float64(s.Sent))
		send(refused, counter, float64(s.Throttled), "throttled")
		send(refused, counter, float64(s.Overloaded), "overloaded")
		send(refused, counter, float64(s.TimedOut), "timed out")
		send(failed, counter, float64(s.Failed))
		send(inFlight, gauge, float64(s.InFlight))
		send(waiting, gauge, float64(s.Waiting))
		send(waited, counter, s.Waited.Rate.Seconds(), "rate")
		send(waited, counter, s.Waited.Concurrency.Seconds(), "concurrency")
		send(waited, counter, s.Waited.Bandwidth.Seconds(), "bandwidth")
		send(waited, counter, s.Waited.CoolDown.Seconds(), "cool-down")
		send(waited, counter, s.Waited.Down.Seconds(), "down")
		send(waited, counter, s.Waited.Quota.Seconds(), "quota")
		if s.Rate != rate.Inf {
			send(pace, gauge, float64(s.Rate))
		}
		if s.Limit != math.MaxInt {
			send(limit, gauge, float64(s.Limit))
		}
		send(paused, gauge, max(0, time.Until(s.Paused).Seconds()))
	}
}
