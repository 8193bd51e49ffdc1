package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/servers"
)

// A workload is what is sent, to what kind of server, and how.
type workload struct {
	name, about string
	files       int
	size        int64
	server      servers.NginxConfig
	lab         string        // a practice server of penstock's instead of nginx
	post        bool          // POST, to a practice server in a process of its own
	journal     bool          // penstock with a journal against penstock without one
	workers     int           // of the plain client, and penstock's --concurrency
	rate        int           // requests a second that both are given; if zero, none
	args        []string      // more for penstock
	alone       bool          // without the plain client, which has nothing like it
	ideal       time.Duration // no faster run keeps the limit; if zero, there is no limit
}

func workloads() []workload {
	var all []workload
	for _, w := range []workload{
		{name: "2000x4KiB", files: 2000, size: 4 << 10},
		{name: "20000x4KiB", files: 20_000, size: 4 << 10},
		{name: "200x1MiB", files: 200, size: 1 << 20},
		{name: "4x256MiB", files: 4, size: 256 << 20},
		{name: "100000x128B", files: 100_000, size: 128},
	} {
		w.about, w.workers = "no limit, 64 workers", 64
		all = append(all, w)
		w.name, w.about, w.server.TLS = w.name+"-tls", w.about+", over TLS", true
		all = append(all, w)
	}
	for _, w := range []workload{
		{name: "journal-100000x128B", files: 100_000, size: 128},
		{name: "journal-2000x4KiB", files: 2000, size: 4 << 10},
		{name: "journal-post-2000x4KiB", files: 2000, size: 4 << 10, post: true},
	} {
		w.about = "no limit, 64 at a time, with and without a journal"
		w.workers, w.journal = 64, true
		all = append(all, w)
	}
	return append(all,
		workload{
			name: "conn4", about: "200 x 1 MiB, the server takes 4 requests at a time",
			files: 200, size: 1 << 20,
			server: servers.NginxConfig{Conns: 4}, workers: 4,
		},
		workload{
			name: "rate50", about: "1,000 x 4 KiB, the server takes 50 requests a second",
			files: 1000, size: 4 << 10,
			server: servers.NginxConfig{Rate: 50, Burst: 5, Refusal: 429}, workers: 64, rate: 50,
			ideal: 999 * time.Second / 50, // the first goes at once
		},
		workload{
			name: "bandwidth50", about: "200 x 1 MiB under --bandwidth 50MiB/s, 64 at a time",
			files: 200, size: 1 << 20,
			workers: 64, args: []string{"--bandwidth", "50MiB/s"}, alone: true,
			ideal: 4 * time.Second,
		},
		workload{
			name:  "tutorial",
			about: "60 x 4 KiB to the practice server lab:tutorial, 4 requests a second",
			files: 60, size: 4 << 10, lab: "lab:tutorial", workers: 64, rate: 4, alone: true,
			ideal: 59*time.Second/4 + 1030*time.Millisecond, // the last one has to be answered, too
		},
	)
}

// write writes the workload's files to dir.
func (w workload) write(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	block := make([]byte, min(w.size, 1<<20))
	for i := range block {
		block[i] = byte(i)
	}
	for i := range w.files {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		for left := w.size; left > 0 && err == nil; left -= int64(len(block)) {
			_, err = f.Write(block)
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("%w (-tmp takes another directory)", err)
		}
	}
	return nil
}

// check returns an error unless dir has every file at its full size.
func (w workload) check(dir string) error {
	for i := range w.files {
		info, err := os.Stat(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return fmt.Errorf("lost: %w", err)
		}
		if info.Size() != w.size {
			return fmt.Errorf("%s arrived with %d bytes of %d", info.Name(), info.Size(), w.size)
		}
	}
	return nil
}
