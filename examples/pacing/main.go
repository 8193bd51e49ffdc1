// Pacing uses the bucket and the pool without HTTP: records go to a message
// queue that takes 50 a second.
//
//	go run ./examples/pacing
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

func main() {
	bucket := throttle.NewBucket(50, 1)
	publish := func(record int) error { return nil } // the queue's client goes here

	publishers := pool.New(8, func(ctx context.Context, record int) error {
		return retry.Policy{}.Do(ctx, func(ctx context.Context) error {
			if err := bucket.Wait(ctx); err != nil {
				return err
			}
			return publish(record)
		})
	})
	begin := time.Now()
	for record := range 100 {
		if err := publishers.Submit(context.Background(), record); err != nil {
			log.Fatal(err)
		}
	}
	if err := publishers.Drain(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("100 records in %.2f s\n", time.Since(begin).Seconds())
}
