package golden

import (
	"strings"
	"sync"
	"time"
)

// A Log collects writes with their instants. It is an io.Writer that is safe for concurrent use;
// its fields may be used when nothing writes any more.
type Log struct {
	Start  time.Time
	Writes []string
	At     []time.Duration // since Start

	mu sync.Mutex
}

// NewLog returns a Log that starts now.
func NewLog() *Log { return &Log{Start: time.Now()} }

// Write keeps a copy.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Writes = append(l.Writes, string(b))
	l.At = append(l.At, time.Since(l.Start))
	return len(b), nil
}

// String returns all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.Writes, "")
}
