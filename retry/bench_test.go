package retry

import (
	"context"
	"net/http"
	"testing"
)

// stub answers at once with a response that costs little, so that what the layers above cost can be
// seen.
type stub struct{}

func (stub) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

func BenchmarkDo(b *testing.B) {
	plain := &http.Client{Transport: stub{}}
	client := &Client{HTTP: plain}
	budget := &Client{HTTP: plain, Policy: Policy{Budget: &Budget{}}}
	for _, bench := range []struct {
		name string
		do   func(*http.Request) (*http.Response, error)
	}{
		{"http.Client", plain.Do},
		{"Client", client.Do},
		{"Client with Budget", budget.Do},
		{"StandardClient", client.StandardClient().Do},
	} {
		b.Run(bench.name, func(b *testing.B) {
			req, _ := http.NewRequest("GET", "http://h.example/", nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.do(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDoParallel(b *testing.B) {
	client := &Client{HTTP: &http.Client{Transport: stub{}}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req, _ := http.NewRequest("GET", "http://h.example/", nil)
		for pb.Next() {
			client.Do(req)
		}
	})
}

func BenchmarkPolicyDo(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Policy{}.Do(b.Context(), func(context.Context) error { return nil })
	}
}
