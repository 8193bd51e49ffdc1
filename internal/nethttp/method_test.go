package nethttp_test

import (
	"testing"

	"github.com/penstock/penstock/internal/nethttp"
)

func TestMethods(t *testing.T) {
	for method, want := range map[string]struct{ idempotent, shares, body bool }{
		"":        {idempotent: true, body: true},
		"GET":     {idempotent: true},
		"HEAD":    {idempotent: true},
		"PUT":     {idempotent: true, body: true},
		"DELETE":  {idempotent: true, body: true},
		"OPTIONS": {idempotent: true, body: true},
		"TRACE":   {idempotent: true},
		"CONNECT": {},
		"POST":    {shares: true, body: true},
		"PATCH":   {shares: true, body: true},
		"APPEND":  {body: true},
		"put":     {body: true},
	} {
		got := want
		got.idempotent, got.shares = nethttp.Idempotent(method), nethttp.SharesURL(method)
		if got.body = nethttp.CheckMethod(method) == nil; got != want {
			t.Errorf("%q: %+v, want %+v", method, got, want)
		}
	}
}
