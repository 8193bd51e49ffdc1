// Testing is a small uploader, whose tests show how to test one of your own: on fake time,
// in which half an hour of Retry-After takes none, with a function or an http.Server in
// memory in place of the network.
//
//	go test -v ./examples/testing
//
// As a program it sends to a server of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()

	names := strings.Fields("ann bob cat dan eve")
	urls := make([]string, len(names))
	for i, name := range names {
		urls[i] = server.URL + "/" + name
	}
	if err := upload(ctx, http.DefaultTransport, urls); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(urls), "records are delivered")
}

// upload sends a record to each URL, and returns when it is known of each whether it arrived.
func upload(ctx context.Context, base http.RoundTripper, urls []string) error {
	transport := &throttle.Transport{
		Base:    base, // the http.RoundTripper that you have; if nil, that of net/http
		Limits:  throttle.Limits{Rate: 4},
		Timeout: time.Minute, // of each attempt, from its turn on
	}
	client := &retry.Client{HTTP: &http.Client{Transport: transport}}
	uploads := pool.New(40, func(ctx context.Context, url string) error {
		return put(ctx, client, url)
	})

	// When ctx ends nothing new is sent, and what is in flight gets 25 s to finish.
	defer context.AfterFunc(ctx, func() {
		uploads.Discard(context.Cause(ctx))
		client.Stop(context.Cause(ctx))
		time.AfterFunc(25*time.Second, func() { _ = uploads.Drain(ctx) })
	})()

	var err error
	for _, url := range urls {
		if err = uploads.Submit(ctx, url); err != nil {
			break
		}
	}
	return errors.Join(err, uploads.Drain(context.Background()))
}

// put sends one record.
func put(ctx context.Context, client *retry.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader("data"))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if resp != nil {
		defer resp.Body.Close()
	}
	return retry.OutcomeOf(resp, err).Err
}
