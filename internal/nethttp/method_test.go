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
		if nethttp.Idempotent(method) != want.idempotent || nethttp.SharesURL(method) != want.shares ||
			(nethttp.CheckMethod(method) == nil) != want.body {
			t.Errorf("%q: not %+v", method, want)
		}
	}
}
