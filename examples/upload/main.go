// Upload sends the files named on the command line, evenly spaced, with retries
// where they are safe, and says of each what became of it.
//
//	go run ./examples/upload -to https://api.example.com/files/ data/*.json
//
// Without -to it sends to a server of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

func main() {
	to := flag.String("to", "", "URL to send to; the file's name is added")
	rps := flag.Float64("rps", 10, "requests a second")
	flag.Parse()
	if *to == "" {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
		}))
		defer server.Close()
		*to = server.URL + "/"
	}
	if err := upload(*to, rate.Limit(*rps), flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func upload(to string, rps rate.Limit, names []string) error {
	transport := &throttle.Transport{Limits: throttle.Limits{Rate: rps, InFlight: 64}}
	client := &retry.Client{HTTP: &http.Client{Transport: transport}}

	uploads := pool.New(64, func(ctx context.Context, name string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, to+url.PathEscape(filepath.Base(name)), nil)
		if err != nil {
			return err
		}
		if err := retry.SetFileBody(req, name); err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if result := retry.OutcomeOf(resp, err); result.Outcome != retry.Delivered {
			return fmt.Errorf("%v after %d attempts: %w", result.Outcome, result.Attempts, result.Err)
		}
		fmt.Println("delivered", name)
		return nil
	})
	uploads.Failed = func(name string, err error) { log.Println(name, err) }

	// The first Ctrl-C sends nothing new and lets what is in flight finish.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	defer context.AfterFunc(ctx, func() { transport.Stop(context.Cause(ctx)) })()
	for _, name := range names {
		if err := uploads.Submit(ctx, name); err != nil {
			break
		}
	}
	return uploads.Drain(context.Background())
}
