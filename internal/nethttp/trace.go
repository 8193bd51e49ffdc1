package nethttp

import (
	"context"
	"net/http/httptrace"
)

// Traced is a context with Trace in place of any that Context has: whoever sets Trace has it call
// the hooks of that one. [httptrace.WithClientTrace] joins the two by reflection, which costs more
// than all else that a round trip adds. The hooks for DNS and dialing, which have a key of their
// own, stay as they are.
type Traced struct {
	context.Context
	Trace *httptrace.ClientTrace
}

// Value returns what the context has, or Trace.
func (c *Traced) Value(key any) any {
	if key == traceKey {
		return c.Trace
	}
	return c.Context.Value(key)
}

// traceKey is the key of a context's trace, which httptrace does not export.
var traceKey = func() (key any) {
	httptrace.ContextClientTrace(keyCatcher{context.Background(), &key})
	return key
}()

// A keyCatcher notes the key that it is asked for.
type keyCatcher struct {
	context.Context
	key *any
}

func (c keyCatcher) Value(key any) any {
	*c.key = key
	return nil
}

// Both returns a hook that calls ours and then theirs, which may be nil.
func Both[T any](ours, theirs func(T)) func(T) {
	if theirs == nil {
		return ours
	}
	return func(info T) {
		ours(info)
		theirs(info)
	}
}

// BothPlain is [Both] for hooks without an argument.
func BothPlain(ours, theirs func()) func() {
	if theirs == nil {
		return ours
	}
	return func() {
		ours()
		theirs()
	}
}
