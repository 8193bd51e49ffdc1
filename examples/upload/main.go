// Upload sends files by PUT, as many at once as the server takes, and shows on one line how
// far it is.
//
//	go run ./examples/upload -to https://api.example.com/files/ data/*/*.json
//
// After the first Ctrl-C nothing new is sent, and what is in flight gets 25 s to finish; the
// second ends the program at once. What was delivered is in a list, which the next run
// leaves out: keep one for each -to. Without -to it sends to a server of its own.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

var to = flag.String("to", "", "`URL` to send to; the path of each file is added to its own")
var listed = flag.String("list", "delivered.txt", "`file` that lists what was delivered")

func main() {
	flag.Parse()
	practise()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, cancel) // the second Ctrl-C is not caught
	left := upload(ctx, flag.Args())
	fmt.Printf("\n%d files are left for the next run\n", left)
	os.Exit(min(left, 1))
}

// upload sends the files that are not in the list, adds to it what is delivered, and returns how
// many were not.
func upload(ctx context.Context, names []string) (left int) {
	list, err := os.OpenFile(*listed, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	before := map[string]bool{}
	for lines := bufio.NewScanner(list); lines.Scan(); {
		before[lines.Text()] = true
	}
	names = slices.DeleteFunc(names, func(s string) bool { return before[fmt.Sprintf("%q", s)] })

	client := &retry.Client{HTTP: &http.Client{Transport: &throttle.Transport{}}}
	var delivered atomic.Int64
	uploads := pool.New(256, func(task context.Context, name string) error {
		err := put(task, client, name)
		if err == nil {
			_, err = fmt.Fprintf(list, "%q\n", name)
		}
		if err == nil {
			fmt.Fprintf(os.Stderr, "\r%d of %d delivered ", delivered.Add(1), len(names))
		} else if !errors.Is(err, context.Cause(ctx)) {
			log.Printf("%s: %v", name, err)
		}
		return err
	})

	// When ctx ends nothing new is sent, and what is in flight gets 25 s to finish.
	defer context.AfterFunc(ctx, func() {
		uploads.Discard(context.Cause(ctx))
		client.Stop(context.Cause(ctx))
		time.AfterFunc(25*time.Second, func() { _ = uploads.Drain(ctx) })
	})()
	for _, name := range names {
		_ = uploads.Submit(ctx, name) // fails at once when ctx has ended
	}
	_ = uploads.Drain(context.Background()) // what failed has been logged
	return len(names) - int(delivered.Load())
}

// put sends one file.
func put(ctx context.Context, client *retry.Client, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, *to, nil)
	if err != nil {
		return err
	}
	req.URL.Path += filepath.ToSlash(name)
	if err := retry.SetFileBody(req, name); err != nil {
		return err
	}
	resp, err := client.Do(req)
	if resp != nil {
		defer resp.Body.Close()
	}
	return retry.OutcomeOf(resp, err).Err
}
