package lab

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

var hostilePreset = preset{Preset{
	Name:    "hostile",
	Summary: "answers that cost an unwary client its memory, its time or its trust",
	Params: []Param{
		{"kind", "redirect", "what every request gets: one of the kinds"},
		{"status", "201",
			"of the answer, where it has one; if that is a 2xx the body is stored before"},
		{"interval", "1s", "from a piece to the next of drip, slowhead and processing"},
		{"size", "32MiB", "of the header of kind header"},
		{"count", "1000000", "of the headers of kind headers"},
		{"length", "1000000", "what wronglength says of the 7 bytes that it sends, word for word"},
	},
	Kinds: hostileKinds.list(),
}, func(v *values) rule {
	h := &hostile{
		status:   v.count("status", 200),
		interval: v.duration("interval", 0),
		size:     v.bytes("size"),
		count:    v.count("count", 0),
		length:   v.text["length"],
	}
	if h.status > 599 {
		v.bad("status", "200 to 599")
	}
	for _, k := range hostileKinds {
		if k.Name == v.text["kind"] {
			h.kind = k
			return h
		}
	}
	v.bad("kind", "one of "+strings.Join(hostileKinds.names(), ", "))
	return h
}}

type hostile struct {
	kind     hostileKind
	status   int
	interval time.Duration
	size     int64
	count    int
	length   string

	redirects atomic.Int64
}

type hostileKind struct {
	Kind
	stores bool // what it answers 2xx
	serve  func(h *hostile, x *exchange, status int)
}

type kinds []hostileKind

func (k kinds) list() (list []Kind) {
	for _, kind := range k {
		list = append(list, kind.Kind)
	}
	return list
}

func (k kinds) names() (names []string) {
	for _, kind := range k {
		names = append(names, kind.Name)
	}
	return names
}

func (h *hostile) serve(x *exchange) {
	x.ledger.fault(h.kind.Name)
	if h.kind.Name != "early" {
		x.read(nil)
	}
	status := h.status
	if h.kind.stores && status/100 == 2 && !x.looks {
		x.keep()
		status = x.verdict
	}
	h.kind.serve(h, x, status)
}

// onWire makes what writes on a connection by itself serve an exchange.
func onWire(write func(h *hostile, w *wire, status int)) func(*hostile, *exchange, int) {
	return func(h *hostile, x *exchange, status int) {
		w := x.wire()
		defer w.close()
		write(h, w, status)
	}
}

var hostileKinds = kinds{
	{Kind{"redirect", "307 to the URL of the request, forever"}, false,
		func(_ *hostile, x *exchange, _ int) {
			x.redirect(x.r.URL.RequestURI())
		}},
	{Kind{"redirects", "307 to a new path each time"}, false, func(h *hostile, x *exchange, _ int) {
		x.redirect(fmt.Sprintf("/-/redirect/%d", h.redirects.Add(1)))
	}},
	{Kind{"body", "an answer without end"}, true, onWire(func(_ *hostile, w *wire, status int) {
		w.write(head(status) + "\r\n")
		w.flood("x", forever)
	})},
	{Kind{"drip", "the same, a byte at a time"}, true,
		onWire(func(h *hostile, w *wire, status int) {
			w.write(head(status) + "\r\n")
			for w.err == nil {
				w.slowly("x", h.interval)
			}
		})},
	{Kind{"gzip", "the same, compressed: what is sent becomes a thousand times as much"}, true,
		onWire(func(_ *hostile, w *wire, status int) {
			w.write(head(status, "Content-Encoding: gzip") + "\r\n")
			w.flood(zeros(), forever)
		})},
	{Kind{"header", "an answer with a header of that size"}, true,
		onWire(func(h *hostile, w *wire, status int) {
			w.write(head(status) + "X-Large: ")
			w.flood("x", h.size)
			w.finish("\r\nContent-Length: 0\r\n\r\n", status)
		})},
	{Kind{"headers", "an answer with that many headers"}, true,
		onWire(func(h *hostile, w *wire, status int) {
			w.write(head(status))
			const field = "X-Small: x\r\n"
			w.flood(field, int64(h.count)*int64(len(field)))
			w.finish("Content-Length: 0\r\n\r\n", status)
		})},
	{Kind{"slowhead", "an answer whose head comes a byte at a time"}, true,
		onWire(func(h *hostile, w *wire, status int) {
			w.slowly(head(status, "Content-Length: 0")+"\r", h.interval)
			w.finish("\n", status)
		})},
	{Kind{"informational", "103 without end, and no answer"}, false,
		onWire(func(_ *hostile, w *wire, _ int) {
			w.flood(head(http.StatusEarlyHints, "Link: </style.css>; rel=preload")+"\r\n", forever)
		})},
	{Kind{"processing", "102 at every interval, and no answer"}, false,
		onWire(func(h *hostile, w *wire, _ int) {
			for w.err == nil {
				w.write(head(http.StatusProcessing) + "\r\n")
				w.x.sleepUntil(time.Now().Add(h.interval))
			}
		})},
	{Kind{"early",
		"an answer before the body, which is neither read nor stored, on a connection that " +
			"stays open"}, false, onWire(func(_ *hostile, w *wire, status int) {
		w.finish(head(status, "Content-Length: 0")+"\r\n", status)
		<-w.x.closing
	})},
	{Kind{"wronglength",
		"an answer that is not as long as it says, on a connection that stays open"}, true,
		onWire(func(h *hostile, w *wire, status int) {
			w.write(head(status, "Content-Length: "+h.length) + "\r\n" + stored)
			w.drain()
		})},
	{Kind{"garbage", "what is not HTTP"}, false, onWire(func(_ *hostile, w *wire, _ int) {
		w.write("SSH-2.0-OpenSSH_9.9\r\n")
	})},
}
