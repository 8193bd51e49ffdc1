// Signing sends requests that are signed with the time, to a server that takes a signature
// for half a second. A signature made before its request waits for its turn gets too old;
// the program shows three ways around that.
//
//	go run ./examples/signing
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/throttle"
)

// fresh is how long the server takes a signature. Amazon S3 takes one for 15 minutes, and a queue
// may be as long.
const fresh = 500 * time.Millisecond

// limits let the last of 20 requests wait for almost a second.
var limits = throttle.Limits{Rate: 20}

func main() {
	server := httptest.NewServer(http.HandlerFunc(check))
	defer server.Close()

	for _, way := range ways(server.Client().Transport, server.URL) {
		fmt.Printf("signed %-25s %2d of 20 accepted\n", way.name+":", attempt(20, way.send))
	}
}

type way struct {
	name string
	send sender
}

func ways(base http.RoundTripper, url string) []way {
	return []way{
		{"above a Transport", above(base, url, 0)},
		{"below it", below(base, url)},
		{"above, with MaxQueue", above(base, url, fresh/2)},
		{"above, after a permit", permitted(base, url)},
	}
}

// A sender makes one request by a client that signs.
type sender func() (*http.Response, error)

// below signs in the Base of a Transport, when the request's turn has come. Do so if the signing is
// yours: it is also what a retry needs, since it signs each attempt anew.
func below(base http.RoundTripper, url string) sender {
	transport := &throttle.Transport{Base: signer{base}, Limits: limits}
	client := &http.Client{Transport: transport}
	return func() (*http.Response, error) { return get(client, url) }
}

// above uses a library that signs and then calls the http.Client that it was given, as that of AWS
// does. With a MaxQueue below the age that the server takes, a request that would get too old fails
// unsent, and the library's own retries sign it anew.
func above(base http.RoundTripper, url string, maxQueue time.Duration) sender {
	transport := &throttle.Transport{Base: base, Limits: limits, MaxQueue: maxQueue}
	library := &http.Client{Transport: signer{transport}}
	return func() (*http.Response, error) {
		for {
			resp, err := get(library, url)
			var queue *throttle.QueueError
			if !errors.As(err, &queue) {
				return resp, err
			}
			time.Sleep(time.Until(queue.Until)) // not at all if there is no cool-down
		}
	}
}

// permitted waits for its turn before it calls the library, which signs and sends at once with the
// permit that was acquired. Retries of the library's own wait again, after they were signed.
func permitted(base http.RoundTripper, url string) sender {
	transport := &throttle.Transport{Base: base, Limits: limits}
	library := &http.Client{Transport: signer{transport}}
	return func() (*http.Response, error) {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		ctx := context.Background()
		permit, err := transport.Upstream(transport.KeyOf(req)).Acquire(ctx, 1)
		if err != nil {
			return nil, err
		}
		defer permit.Release() // which does nothing if the request was sent
		resp, err := library.Do(req.WithContext(throttle.WithPermit(ctx, permit)))
		if err != nil {
			return nil, err
		}
		return resp, resp.Body.Close()
	}
}

// A signer puts a signature, here only the time, into a request as it passes.
type signer struct{ base http.RoundTripper }

func (s signer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context()) // a RoundTripper must not change what it was given
	req.Header.Set("Signed-At", time.Now().Format(time.RFC3339Nano))
	return s.base.RoundTrip(req)
}

// check is the server.
func check(w http.ResponseWriter, r *http.Request) {
	signed, err := time.Parse(time.RFC3339Nano, r.Header.Get("Signed-At"))
	if err != nil || time.Since(signed) > fresh {
		http.Error(w, "signature too old", http.StatusForbidden)
	}
}

func get(client *http.Client, url string) (*http.Response, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// attempt calls send n times at once, and returns how many requests were accepted.
func attempt(n int, send sender) int {
	var accepted atomic.Int64
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			resp, err := send()
			if err != nil {
				log.Print(err)
			} else if resp.StatusCode == http.StatusOK {
				accepted.Add(1)
			}
		})
	}
	group.Wait()
	return int(accepted.Load())
}
