package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// usage is what a process used.
type usage struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes of memory; zero where the system does not tell
}

// measure runs argv as its only child and writes its usage to standard output as JSON.
//
// It is a process of its own because Linux counts into a child's peak memory that of the process
// which started it: this one has none to speak of, the one with the table does.
func measure(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // seen only if it fails
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return fmt.Errorf("%v: %w", argv, err)
	}
	s := cmd.ProcessState
	return json.NewEncoder(os.Stdout).Encode(usage{Wall: wall, CPU: s.UserTime() + s.SystemTime(),
		Peak: peak(s)})
}
