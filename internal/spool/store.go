// Package spool keeps the bodies of requests while they stream, so that they can be sent again.
//
// A [Store] has the bounds, and makes a [Body] of what a client sends. The first reader of a Body
// passes the client's bytes on as they come: it asks for no byte before it is read itself, so that
// a server grants an Expect: 100-continue only when the request's turn has come. A later reader
// replays what was kept and goes on where the first one stopped, even if that was in the middle.
//
// What cannot be kept, because of a bound or of the disk, is passed on all the same: the attempt
// under way is not harmed, but there can be no other. With retry.Client:
//
//	body := store.Keep(r.Body, r.ContentLength) // r is what the server has received
//	defer body.Close()
//	body.Set(out)                               // out is the request to send
//	resp, err := client.Do(out)
//	body.Forget()                               // no other attempt follows
//	if err := body.Err(); err != nil {
//		// the client is at fault, not the server that out went to
//	}
//
// Set belongs directly above retry.Client. If the reader is wrapped in another body, as by
// [net/http/httputil.ReverseProxy], GetBody still works, but retry.Client learns that it fails only
// after the wait before an attempt, when it no longer has the last answer.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/penstock/penstock/internal/human"
)

// The defaults of a [Store].
const (
	DefaultMemory   = 1 << 20
	DefaultMaxTotal = 1 << 30
)

// ErrBound is in the error of a body that cannot be sent again because keeping it would have
// exceeded a bound of the [Store].
var ErrBound = errors.New("the bound is reached")

// A Store keeps bodies. The zero value is usable. Its fields must not be changed, nor the Store
// copied, after first use. It is safe for concurrent use.
type Store struct {
	// Dir is the directory of the temporary files. If empty, [os.TempDir]. A file is readable by
	// its owner only, and has no name any more once it is open, where the system allows that.
	Dir string

	// Memory is how many bytes of one body are kept in memory. What follows on them is kept in a
	// file, and so is the whole of a body that is known to be longer. If zero, DefaultMemory. If
	// negative, none. A body whose size is not known may occupy twice as much.
	Memory int64

	// MaxBody is how many bytes of one body are kept. If zero, MaxTotal alone is the bound.
	MaxBody int64

	// MaxTotal is how many bytes of all bodies are kept, in memory and in files together. If zero,
	// DefaultMaxTotal.
	MaxTotal int64

	create func(dir string) (file, error) // makes files; if nil, on disk

	mu struct {
		sync.Mutex
		stats Stats
	}
}

// Stats are what a [Store] has at one moment.
type Stats struct {
	Bodies int   // those that are not closed
	Memory int64 // bytes that are kept in memory
	Disk   int64 // bytes that are kept in files, or are just being written there
}

// Stats returns what the store has now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.stats
}

// Keep returns a Body of what from yields. size is the number of bytes in it, or -1 if that is not
// known. The Body must be closed. from is read by one goroutine at a time and never closed: to
// close the body of a request that a server received may wait for the client. If a Read of it is
// still under way when its owner is done, the owner ends it, in a handler by
// [net/http.ResponseController.SetReadDeadline].
func (s *Store) Keep(from io.Reader, size int64) *Body {
	b := &Body{store: s, from: from, size: max(size, -1)}
	s.mu.Lock()
	s.mu.stats.Bodies++
	s.mu.Unlock()
	return b
}

func (s *Store) memory() int64 { return max(0, cmp.Or(s.Memory, DefaultMemory)) }

// reserve counts bytes that are about to be kept, or says why they must not be.
func (s *Store) reserve(memory, disk int64) error {
	most := cmp.Or(s.MaxTotal, DefaultMaxTotal)
	s.mu.Lock()
	defer s.mu.Unlock()
	have := &s.mu.stats
	if memory+disk > most-have.Memory-have.Disk {
		return fmt.Errorf("%w: %s are kept of all bodies together", ErrBound, human.Size(most))
	}
	have.Memory += memory
	have.Disk += disk
	return nil
}

func (s *Store) release(memory, disk int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.stats.Memory -= memory
	s.mu.stats.Disk -= disk
}

// permits says why a body of so many bytes must not be kept, whatever others there are.
func (s *Store) permits(size int64) error {
	if s.MaxBody != 0 && size > s.MaxBody {
		return fmt.Errorf("%w: %s are kept of one body", ErrBound, human.Size(s.MaxBody))
	}
	return nil
}
