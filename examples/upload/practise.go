package main

import (
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/penstock/penstock/throttle/gate"
)

// practise starts a server that takes 50 files a second, if no other is given.
func practise() {
	if *to != "" {
		return
	}
	limited := &gate.Gate{Limits: gate.Limits{Rate: 50, Burst: 5}}
	store := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	*to = httptest.NewServer(limited.Handler(http.HandlerFunc(store))).URL + "/"
}
