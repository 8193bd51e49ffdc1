package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/results"
)

// remember makes a journal, or goes on with one. The first line of SPEC is the run, the others are
// items: in the shape of results, with the times "first" and "last".
func remember(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "remember FILE SPEC")
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[1])))
	var run struct {
		Target, Method, Command, Version string
		Started                          time.Time
		ExitStatus                       int `json:"exit_status"`
	}
	if lines.Scan() {
		ts.Check(json.Unmarshal(lines.Bytes(), &run))
	}
	j, err := journal.Open(context.Background(), journal.Options{
		Path: ts.MkAbs(args[0]), Target: run.Target, Method: run.Method, Command: run.Command,
		Version: run.Version, Started: run.Started,
	})
	ts.Check(err)
	j.Claim(1<<63, journal.Fingerprint{}) // an item that is no other: the run begins
	for n := uint64(j.Earlier().Counts[item.Delivered]); lines.Scan(); n++ {
		var it struct {
			Path, Rel, URL, Method, Key, Status, Error string
			HTTPStatus                                 int `json:"http_status"`
			Attempts                                   int
			Bytes                                      int64
			First, Last                                time.Time
			Captured                                   json.RawMessage
		}
		ts.Check(json.Unmarshal(lines.Bytes(), &it))
		state, err := item.Parse(it.Status)
		ts.Check(err)
		j.Put(journal.Item{
			ID: n, Path: it.Path, Rel: it.Rel, URL: it.URL, Method: it.Method, Key: it.Key,
			State: state, HTTPStatus: it.HTTPStatus,
			Fingerprint: journal.Fingerprint{Size: it.Bytes}, Attempts: it.Attempts,
			First: it.First, Last: it.Last, Error: it.Error,
			Captured: results.Captured(it.Captured),
		}, nil)
	}
	ts.Check(j.Close(run.ExitStatus))
}

// use has a journal in use until the script ends.
func use(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "use FILE")
	j, err := journal.Open(context.Background(),
		journal.Options{Path: ts.MkAbs(args[0]), Target: "http://h/{name}", Method: "PUT"})
	ts.Check(err)
	j.Claim(1<<63, journal.Fingerprint{})
	ts.Check(j.Flush())
	ts.Defer(func() { ts.Check(j.Close(0)) })
}

// execSQL changes an SQLite file, or makes one.
func execSQL(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "sql FILE STATEMENT...")
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	for _, statement := range args[1:] {
		_, err := db.Exec(statement)
		ts.Check(err)
	}
}

func truncate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "truncate FILE SIZE")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// sorted writes a results file's items to standard output by path, but for their times.
func sorted(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "sorted FILE")
	text := regexp.MustCompile(`"seconds":[0-9.e-]+`).ReplaceAllString(ts.ReadFile(args[0]),
		`"seconds":0`)
	for _, line := range slices.Sorted(strings.Lines(text)) {
		fmt.Fprint(ts.Stdout(), line)
	}
}
