package main

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// throttled returns an interceptor that lets a call go when the upstream's limits allow it, and
// tells the upstream how the call went.
func throttled(upstream *throttle.Upstream) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		permit, err := upstream.Acquire(ctx, 1)
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		if err != nil {
			return err
		}
		err = next(ctx, method, req, reply, conn, opts...)
		permit.Done(feedback(err))
		return err
	}
}

// feedback says what a call's end means for the limits.
func feedback(err error) throttle.Feedback {
	f := throttle.Feedback{Signal: throttle.SignalAnswered}
	switch status.Code(err) {
	case codes.OK:
		f.Signal = throttle.SignalSuccess
	case codes.ResourceExhausted: // also of messages that are too large, which should be rare
		f.Signal = throttle.SignalThrottled
	case codes.Unavailable:
		f.Signal = throttle.SignalOverloaded
	case codes.DeadlineExceeded:
		f.Signal = throttle.SignalTimedOut
	case codes.Canceled:
		f.Signal = throttle.SignalIgnored
	case codes.Unknown, codes.Internal, codes.DataLoss:
		f.Signal = throttle.SignalFailed
	}
	if wait, ok := retryInfo(err); ok {
		f.RetryAt, f.Source = time.Now().Add(wait), "RetryInfo"
	}
	return f
}

// retried returns an interceptor that makes a call again as the policy says. It goes above
// throttled. A call that may have been processed is made again only if its method is idempotent.
func retried(policy retry.Policy, idempotent func(method string) bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return policy.Do(ctx, func(ctx context.Context) error {
			return verdict(next(ctx, method, req, reply, conn, opts...), idempotent(method))
		})
	}
}

// verdict marks an error for [retry.Policy.Do].
func verdict(err error, idempotent bool) error {
	var unsent interface{ RetryAt() time.Time }
	if errors.As(err, &unsent) {
		return err // of throttled, which Do understands
	}
	wait, asked := retryInfo(err)
	switch code := status.Code(err); {
	case code == codes.OK:
		return nil
	case code == codes.ResourceExhausted && asked:
		return retry.After(err, wait) // no attempt, as with 429
	case code == codes.ResourceExhausted:
		return err // an attempt: it may be a message that is too large
	case code == codes.Unavailable && idempotent:
		return retry.After(err, wait)
	case (code == codes.Internal || code == codes.Unknown) && idempotent:
		return err
	}
	return retry.Permanent(err)
}

// retryInfo returns how long the server asks to wait.
func retryInfo(err error) (wait time.Duration, ok bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.RetryInfo); is && info.RetryDelay.IsValid() {
			return info.RetryDelay.AsDuration(), true
		}
	}
	return 0, false
}
