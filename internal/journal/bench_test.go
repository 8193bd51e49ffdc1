package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/idmap"
	"github.com/penstock/penstock/internal/item"
)

func example(i int) Item {
	return Item{
		ID: idmap.Mix(uint64(i)), Method: "PUT",
		Path: fmt.Sprintf("data/part-%04d/file-%08d.json", i/1000, i),
		URL: fmt.Sprintf("https://api.example.com/v1/files/part-%04d/file-%08d.json",
			i/1000, i),
		Fingerprint: Fingerprint{int64(i), time.Unix(1700000000, int64(i)), 1},
		State:       item.Delivered, Attempts: 1, First: time.Unix(1700000000, 0),
		Last: time.Unix(1700000001, 0), HTTPStatus: 201,
	}
}

// Rows from 64 goroutines, as PUTs end; the time is for each row, until the last is on disk.
func BenchmarkPut(b *testing.B) {
	j := mustOpen(b, filepath.Join(b.TempDir(), "j.db"))
	var next atomic.Int64
	var commits atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				j.Put(example(int(i)), func(error) { commits.Add(1) })
			}
		})
	}
	wg.Wait()
	if err := j.Flush(); err != nil || commits.Load() != int64(b.N) {
		b.Fatal(err, commits.Load())
	}
	b.StopTimer()
	j.Close(0)
}

// Rows that have to be on disk before the next step, from 1 and from 64 goroutines.
func BenchmarkBegin(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			j := mustOpen(b, filepath.Join(b.TempDir(), "j.db"))
			defer j.Close(0)
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := j.Begin(context.Background(), example(int(i))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func fill(tb testing.TB, path string, rows int) {
	j := mustOpen(tb, path)
	for i := range rows {
		j.Put(example(i), nil)
	}
	mustClose(tb, j)
}

// Opening a journal of a million rows. B/heap is what it then holds.
func BenchmarkOpenMillion(b *testing.B) {
	path := filepath.Join(b.TempDir(), "j.db")
	fill(b, path, 1e6)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		j := mustOpen(b, path)
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-heap")
		j.Close(0)
		b.StartTimer()
	}
}

func BenchmarkClaim(b *testing.B) {
	path := filepath.Join(b.TempDir(), "j.db")
	fill(b, path, 1e6)
	j := mustOpen(b, path)
	defer j.Close(0)
	i := 0
	for b.Loop() {
		i++
		if c := j.Claim(idmap.Mix(uint64(i%1e6)), Fingerprint{}); c.State != item.Delivered {
			b.Fatal(c)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "j.db")
	fill(b, path, 1e5)
	j := mustOpen(b, path)
	defer j.Close(0)
	i := 0
	for b.Loop() {
		i++
		if _, err := j.Load(idmap.Mix(uint64(i % 1e5))); err != nil {
			b.Fatal(err)
		}
	}
}
