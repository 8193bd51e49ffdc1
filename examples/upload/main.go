// Upload sends the files named on the command line at 4 requests a second, retries
// what is safe to retry, and reports what became of each file. The first Ctrl-C lets
// the uploads in flight finish.
//
//	go run ./examples/upload -to https://api.example.com/files/ data/*.json
//
// Without -to it sends to a server of its own.
package main

import (
	"context"
	"errors"
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
	"time"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

var to = flag.String("to", "", "URL to send to; the file's name is added")

func main() {
	flag.Parse()
	if *to == "" {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
		}))
		defer server.Close()
		*to = server.URL + "/"
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second Ctrl-C ends the program at once
	if err := upload(ctx, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// upload sends the files, and returns when it is known of each whether it arrived.
func upload(ctx context.Context, names []string) error {
	transport := &throttle.Transport{Limits: throttle.Limits{Rate: 4}}
	client := &retry.Client{HTTP: &http.Client{Transport: transport}}
	uploads := pool.New(40, func(ctx context.Context, name string) error { return put(ctx, client, name) })

	// When ctx ends nothing new is sent, and what is in flight gets some time to finish.
	patience, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		uploads.Discard(context.Cause(ctx))
		client.Stop(context.Cause(ctx)) // and with it the transport
		time.AfterFunc(25*time.Second, cancel)
	})()

	var err error
	for _, name := range names {
		if err = uploads.Submit(ctx, name); err != nil {
			break
		}
	}
	return errors.Join(err, uploads.Drain(patience))
}

// put sends one file.
func put(ctx context.Context, client *retry.Client, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, *to+url.PathEscape(filepath.Base(name)), nil)
	if err != nil {
		return err
	}
	if err := retry.SetFileBody(req, name); err != nil {
		return err
	}
	resp, err := client.Do(req)
	result := retry.OutcomeOf(resp, err)
	if resp != nil {
		resp.Body.Close()
	}
	if result.Uncertain {
		return fmt.Errorf("%s: %v, but it may have arrived: %w", name, result.Outcome, result.Err)
	}
	if result.Outcome != retry.Delivered {
		return fmt.Errorf("%s: %v: %w", name, result.Outcome, result.Err)
	}
	fmt.Println("delivered", name)
	return nil
}
