package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// connect starts a server in memory, and returns a connection with the two interceptors.
func connect(t *testing.T, server healthpb.HealthServer, upstream *throttle.Upstream,
	idempotent bool) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, server)
	go s.Serve(listener)
	conn, err := grpc.NewClient("passthrough:memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(
			retried(retry.Policy{}, func(string) bool { return idempotent }), throttled(upstream)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
	})
	return conn
}

// A scripted server answers with one error after the other, and then well.
type scripted struct {
	healthpb.UnimplementedHealthServer
	errs  []error
	calls []time.Time
}

func (s *scripted) Check(context.Context, *healthpb.HealthCheckRequest) (
	*healthpb.HealthCheckResponse, error) {
	s.calls = append(s.calls, time.Now())
	if n := len(s.calls); n <= len(s.errs) {
		return nil, s.errs[n-1]
	}
	return &healthpb.HealthCheckResponse{}, nil
}

func TestRetries(t *testing.T) {
	for _, row := range []struct {
		name       string
		err        error
		idempotent bool
		calls      int
		code       codes.Code
		wait       time.Duration // before the second call, at least
	}{
		{"a quota", refusal(codes.ResourceExhausted, time.Minute), false, 2, codes.OK, time.Minute},
		{"no RetryInfo", status.Error(codes.ResourceExhausted, ""), false, 2, codes.OK, 0},
		{"too busy", refusal(codes.Unavailable, time.Minute), true, 2, codes.OK, time.Minute},
		{"a lost connection", status.Error(codes.Unavailable, ""), true, 2, codes.OK, 0},
		{"and not idempotent", status.Error(codes.Unavailable, ""), false, 1, codes.Unavailable, 0},
		{"an error", status.Error(codes.Internal, ""), true, 2, codes.OK, 0},
		{"that is not idempotent", status.Error(codes.Internal, ""), false, 1, codes.Internal, 0},
		{"a mistake", status.Error(codes.NotFound, ""), true, 1, codes.NotFound, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &scripted{errs: []error{row.err}}
				upstream := throttle.NewUpstream(throttle.Limits{})
				client := healthpb.NewHealthClient(connect(t, server, upstream, row.idempotent))
				_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
				if status.Code(err) != row.code || len(server.calls) != row.calls {
					t.Fatalf("%v after %d calls, want %v after %d",
						err, len(server.calls), row.code, row.calls)
				}
				if row.calls < 2 {
					return
				}
				if wait := server.calls[1].Sub(server.calls[0]); wait < row.wait {
					t.Errorf("called again after %v, want %v", wait, row.wait)
				}
			})
		})
	}
}

func TestFeedback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			err  error
			want throttle.Signal
			wait time.Duration
		}{
			{nil, throttle.SignalSuccess, 0},
			{refusal(codes.ResourceExhausted, time.Minute), throttle.SignalThrottled, time.Minute},
			{refusal(codes.Unavailable, time.Second), throttle.SignalOverloaded, time.Second},
			{status.Error(codes.Unavailable, ""), throttle.SignalOverloaded, 0},
			{status.Error(codes.DeadlineExceeded, ""), throttle.SignalTimedOut, 0},
			{status.Error(codes.Canceled, ""), throttle.SignalIgnored, 0},
			{status.Error(codes.Internal, ""), throttle.SignalFailed, 0},
			{status.Error(codes.NotFound, ""), throttle.SignalAnswered, 0},
		} {
			f := feedback(row.err)
			var at time.Time
			if row.wait > 0 {
				at = time.Now().Add(row.wait)
			}
			if f.Signal != row.want || !f.RetryAt.Equal(at) {
				t.Errorf("%v: %v, at %v; want %v, at %v",
					row.err, f.Signal, f.RetryAt, row.want, at)
			}
		}
	})
}

// The pace of a server with a quota is found, and all calls succeed.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := throttle.NewUpstream(throttle.Limits{})
		conn := connect(t, &service{quota: rate.NewLimiter(50, 5)}, upstream, false)
		begin := time.Now()
		if ok := call(t.Context(), conn, 1000); ok != 1000 {
			t.Errorf("%d of 1000 calls succeeded", ok)
		}
		// The quota allows 1,000 within 19.9 s.
		if took := time.Since(begin); took > 40*time.Second {
			t.Errorf("it took %v", took)
		}
		if s := upstream.Stats(); s.Throttled > 50 {
			t.Errorf("%d of %d calls were refused", s.Throttled, s.Sent)
		}
	})
}

// A call that waits for its turn ends with the code that callers expect, or with the error that
// says why nothing is sent any more.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &scripted{}
		upstream := throttle.NewUpstream(throttle.Limits{})
		client := healthpb.NewHealthClient(connect(t, server, upstream, true))
		upstream.Pause(time.Now().Add(time.Hour), "a test")

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("after the deadline: %v", err)
		}
		ended := errors.New("the program ends")
		time.AfterFunc(time.Minute, func() { upstream.Stop(ended) })
		_, err = client.Check(t.Context(), &healthpb.HealthCheckRequest{})
		if !errors.Is(err, ended) {
			t.Errorf("after Stop: %v", err)
		}
		if len(server.calls) != 0 {
			t.Errorf("%d calls were sent", len(server.calls))
		}
	})
}
