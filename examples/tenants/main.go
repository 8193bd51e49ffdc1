// Tenants sends the records of several tenants to one host, where each has an API key with
// a quota of its own. One whose quota is small, or used up, holds up no other.
//
//	go run ./examples/tenants
package main

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
	"github.com/penstock/penstock/throttle/gate"
)

// A tenant is a customer with an API key.
type tenant struct {
	name, key string
	limits    throttle.Limits // what the contract says; what it does not say is found
	records   int             // to send
}

func main() {
	tenants := []tenant{
		{name: "acme", key: "k-1", records: 100},
		{name: "globex", key: "k-2", limits: throttle.Limits{Rate: 10}, records: 20},
		{name: "initech", key: "k-3", records: 60},
	}
	server := httptest.NewServer(service())
	defer server.Close()

	transport := limitEach(tenants)
	client := &retry.Client{HTTP: &http.Client{Transport: transport}}
	begin := time.Now()
	var group sync.WaitGroup
	for _, t := range tenants {
		group.Go(func() {
			if err := send(context.Background(), client, server.URL, t); err != nil {
				log.Printf("%s: %v", t.name, err)
			}
			fmt.Printf("%s is done after %.1f s\n", t.name, time.Since(begin).Seconds())
		})
	}
	group.Wait()
	table(transport)
}

// limitEach returns a Transport with limits for each tenant.
func limitEach(tenants []tenant) *throttle.Transport {
	names, limits := map[string]string{}, map[string]throttle.Limits{}
	for _, t := range tenants {
		names[t.key], limits[t.name] = t.name, t.limits
	}
	return &throttle.Transport{
		// Keys are in events and logs: the tenant's name, not its API key.
		Key:       func(req *http.Request) string { return names[req.Header.Get("X-Api-Key")] },
		LimitsFor: func(name string) throttle.Limits { return limits[name] },
	}
}

// send sends the records of one tenant. Each has a pool of its own: in a common one the records of
// a tenant that has to wait would soon have all the workers.
func send(ctx context.Context, client *retry.Client, url string, t tenant) error {
	records := pool.New(16, func(ctx context.Context, record string) error {
		body := strings.NewReader(record)
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, url+"/"+record, body)
		if err != nil {
			return err
		}
		req.Header.Set("X-Api-Key", t.key)
		resp, err := client.Do(req)
		if resp != nil {
			defer resp.Body.Close()
		}
		return retry.OutcomeOf(resp, err).Err
	})
	for i := range t.records {
		if err := records.Submit(ctx, fmt.Sprintf("%s-%d", t.name, i)); err != nil {
			break // Drain has the error
		}
	}
	return records.Drain(ctx)
}

// table shows what each tenant did, and what held it back.
func table(transport *throttle.Transport) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "tenant\trequests\trefused\treq/s\twaited for the rate\tand in pauses\t")
	upstreams := maps.Collect(transport.Upstreams())
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		s := upstreams[name].Stats()
		fmt.Fprintf(w, "%s\t%d\t%d\t%.3g\t%.1f s\t%.1f s\t\n", name, s.Sent,
			s.Throttled+s.Overloaded, s.Rate, s.Waited.Rate.Seconds(), s.Waited.CoolDown.Seconds())
	}
	w.Flush()
}

// service takes 40 requests a second of each key, and asks initech for a pause of 3 s.
func service() http.Handler {
	var once sync.Once
	byKey := &gate.Gate{
		Key:    func(r *http.Request) string { return r.Header.Get("X-Api-Key") },
		Limits: gate.Limits{Rate: 40, Burst: 5},
	}
	return byKey.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/initech-30") {
			once.Do(func() {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(http.StatusTooManyRequests)
			})
		}
	}))
}
