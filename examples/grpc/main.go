// Grpc gives the client of a gRPC service the pace of its server, and retries, by two
// interceptors. It is a module of its own, so that package grpc is nobody's dependency.
//
//	cd examples/grpc && go run .
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, &service{quota: rate.NewLimiter(50, 5)})
	go server.Serve(listener)
	defer server.Stop()

	upstream := throttle.NewUpstream(throttle.Limits{})
	upstream.Observe = func(e throttle.Event) {
		if e.Kind == throttle.EventPaused {
			log.Printf("paused for %v (%s)", time.Until(e.Until).Round(time.Millisecond), e.Source)
		}
	}
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(
			retried(retry.Policy{}, func(string) bool { return true }), // all methods are reads
			throttled(upstream)),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	begin := time.Now()
	ok := call(context.Background(), conn, 200)
	stats := upstream.Stats()
	fmt.Printf("%d of 200 calls succeeded in %.1f s, at %.3g a second; %d were refused at first\n",
		ok, time.Since(begin).Seconds(), stats.Rate, stats.Throttled+stats.Overloaded)
}

// call makes so many calls at once, and returns how many succeeded.
func call(ctx context.Context, conn *grpc.ClientConn, n int) (ok int) {
	client := healthpb.NewHealthClient(conn)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				log.Print(err)
				return
			}
			mu.Lock()
			ok++
			mu.Unlock()
		})
	}
	group.Wait()
	return ok
}

// A service refuses what is over its quota, and says when to come back.
type service struct {
	healthpb.UnimplementedHealthServer
	quota *rate.Limiter
}

func (s *service) Check(context.Context, *healthpb.HealthCheckRequest) (
	*healthpb.HealthCheckResponse, error) {
	if !s.quota.Allow() {
		return nil, refusal(codes.ResourceExhausted, 500*time.Millisecond)
	}
	return &healthpb.HealthCheckResponse{}, nil
}

// refusal is a status that asks to come back after so long.
func refusal(code codes.Code, wait time.Duration) error {
	info := &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}
	s, err := status.New(code, "busy").WithDetails(info)
	if err != nil {
		return err
	}
	return s.Err()
}
