package outbox

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// Bodies are put by so many goroutines, on the disk of the working directory.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		for _, size := range []int{4 << 10, 256 << 10} {
			b.Run(fmt.Sprintf("%d callers/%d KiB", callers, size>>10), func(b *testing.B) {
				dir, err := os.MkdirTemp(".", "bench")
				test.OK(b, err)
				defer os.RemoveAll(dir)
				s := mustOpen(b, Options{Dir: dir, MaxBytes: 1 << 40})
				body := make([]byte, size)
				rand.Read(body)
				b.SetBytes(int64(size))
				var left atomic.Int64
				left.Store(int64(b.N))
				var group sync.WaitGroup
				b.ResetTimer()
				for range callers {
					group.Go(func() {
						for left.Add(-1) >= 0 {
							_, err := s.Put(request("c"), bytes.NewReader(body))
							test.Check(b, err)
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
				b.StopTimer()
				test.OK(b, s.Close())
			})
		}
	}
}

// A request is taken, begun, read and delivered, by so many goroutines.
func BenchmarkDeliver(b *testing.B) {
	for _, note := range []bool{false, true} {
		b.Run(fmt.Sprintf("note=%v", note), func(b *testing.B) {
			dir, err := os.MkdirTemp(".", "bench")
			test.OK(b, err)
			defer os.RemoveAll(dir)
			s := mustOpen(b, Options{Dir: dir, MaxBytes: 1 << 40})
			body := make([]byte, 4<<10)
			var group sync.WaitGroup
			var left atomic.Int64
			left.Store(int64(b.N))
			for range 64 {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						_, err := s.Put(request("c"), bytes.NewReader(body))
						test.Check(b, err)
					}
				})
			}
			group.Wait()
			b.ResetTimer()
			for range 64 {
				group.Go(func() {
					for {
						list, _, err := s.Next("api", 1)
						test.Check(b, err)
						if len(list) == 0 {
							return
						}
						id := list[0].ID
						test.Check(b, s.Begin(id, note))
						_, err = s.Body(id)
						test.Check(b, err)
						test.Check(b, s.Finish(id, Outcome{State: Delivered, Status: 200,
							Answer: &Answer{}}))
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			b.StopTimer()
			test.OK(b, s.Close())
		})
	}
}
