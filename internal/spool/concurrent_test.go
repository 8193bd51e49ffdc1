package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Attempts that are given up in the middle and closed late, as net/http does it, many bodies at
// once: what a reader has read is the beginning of the body, and the last attempt has all of it, or
// says why not.
func TestAttemptsThatOverlap(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			d := &lockedDisk{disk: disk{room: 40_000}}
			s := &Store{Memory: 2000, MaxBody: 9000, MaxTotal: 30_000, create: d.create}
			var wg sync.WaitGroup
			for range 8 {
				seed := rnd.Uint64()
				wg.Go(func() { overlap(t, s, rand.New(rand.NewPCG(seed, 1))) })
			}
			wg.Wait()
			check(t, "stats at the end", s.Stats(), Stats{})
			check(t, "files at the end", d.open, 0)
		})
	}
}

func overlap(t *testing.T, s *Store, rnd *rand.Rand) {
	data, size := content(1+rnd.IntN(10_000)), int64(-1)
	if rnd.IntN(2) == 0 {
		size = int64(len(data))
	}
	b := s.Keep(&client{data: data, piece: 1 + rnd.IntN(500), every: time.Millisecond}, size)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer b.Close()
	for last := false; !last; {
		last = rnd.IntN(4) == 0
		after := time.Duration(rnd.IntN(30)) * time.Millisecond
		late := time.Duration(rnd.IntN(10)) * time.Millisecond
		buffer := make([]byte, 1+rnd.IntN(600))
		r, err := b.Open()
		if err != nil {
			if !errors.Is(err, ErrBound) {
				t.Error(err)
			}
			return
		}
		done := make(chan struct{})
		wg.Go(func() {
			defer close(done)
			var got bytes.Buffer
			_, err := io.CopyBuffer(struct{ io.Writer }{&got}, r, buffer)
			if last && (err != nil || got.Len() != len(data)) && !errors.Is(err, ErrBound) ||
				!bytes.HasPrefix(data, got.Bytes()) {
				t.Errorf("last %v: %d bytes of %d, %v", last, got.Len(), len(data), err)
			}
		})
		if last {
			<-done
			r.Close()
			return
		}
		time.Sleep(after)
		wg.Go(func() {
			time.Sleep(late)
			r.Close()
		})
	}
}

// lockedDisk is a disk for several bodies at once.
type lockedDisk struct {
	mu sync.Mutex
	disk
}

type lockedFile struct {
	mu *sync.Mutex
	file
}

func (d *lockedDisk) create(string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.disk.create("")
	return lockedFile{&d.mu, f}, err
}

func (f lockedFile) WriteAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.WriteAt(p, at)
}

func (f lockedFile) ReadAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.ReadAt(p, at)
}

func (f lockedFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
