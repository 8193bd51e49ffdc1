package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/item"
)

// Every flag of send can be set by its variable, as by the command line.
func TestEnvironmentSetsEveryFlag(t *testing.T) {
	values := map[string]string{ // of those that do not take any text
		"to": "http://h/{name}", "proxy": "http://h", "user": "a:b", "method": "PUT",
		"content-type": "a/b", "rps": "4", "burst": "2", "concurrency": "3", "bandwidth": "1MB/s",
		"workers": "5", "again": "2026-01-02", "only": "failed", "if-running": "wait",
		"key-format": "bare", "attempts": "3", "page": ":1", "metrics": ":1",
		"metrics-file": "a.prom", "progress": "json", "log-format": "json", "header": "A: b",
		"capture": "id=.id", "accept": "200", "reject": "graphql", "retry-on": "403",
		"throttle-on": "google",
	}
	var names []string
	sendCommand(nil).Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	for _, name := range names {
		env, flags := environment{prefix: sendVariables}, sendCommand(nil).Flags()
		f := flags.Lookup(name)
		value := values[name]
		switch {
		case value != "":
		case f.Value.Type() == "bool":
			value = "true"
		case f.Value.Type() == "FIELD":
			value = "a=b"
		case f.Value.Type() == "D":
			value = "77s"
		default:
			value = "text"
		}
		entry := "PENSTOCK_SEND_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "="
		byHand := sendCommand(nil).Flags()
		refused := byHand.Set(name, value)
		err := env.read(flags, []string{entry + value})
		if refused != nil && err != nil && values[name] == "" {
			t.Logf("not tried, for want of a value above: %s%s", entry, value)
			continue
		}
		if err != nil || refused != nil {
			t.Errorf("%s%s: %v; by hand: %v", entry, value, err, refused)
			continue
		}
		want := byHand.Lookup(name).Value.String()
		if got := f.Value.String(); got != want || !env.has(name) || env.unknown != nil {
			t.Errorf("%s%s: %q, want %q; said %q", entry, value, got, want, env.unknown)
		}
	}
}

func TestEnvironmentValues(t *testing.T) {
	const plain = "PENSTOCK_SEND_"
	for _, c := range []struct {
		environ, given, want []string // what words there are
	}{
		{[]string{"RPS=4"}, nil, []string{"--rps=4"}},
		{[]string{"RPS=4"}, []string{"--rps=3"}, nil},
		{[]string{"RPS=", "HEADER=\n \r\n", "QUIET=0", "AGAIN=false"}, nil, nil},
		{[]string{"JOB=j\r\n"}, nil, []string{"--job=j"}},
		{[]string{"AGAIN=1", "IDEMPOTENT=X-Key"}, nil,
			[]string{"--again=now", "--idempotent=X-Key"}},
		{[]string{"HEADER=A: b\r\nC: d\r\n"}, nil, []string{"--header=A: b", "--header=C: d"}},
		{[]string{"HEADER=A: b\nC: d"}, []string{"-HE:f"}, nil},
		{[]string{"HELP=true"}, nil, nil},
	} {
		flags := sendCommand(nil).Flags()
		if err := flags.Parse(c.given); err != nil {
			t.Fatal(err)
		}
		env := environment{prefix: plain}
		for i := range c.environ {
			c.environ[i] = plain + c.environ[i]
		}
		if err := env.read(flags, c.environ); err != nil {
			t.Errorf("%q: %v", c.environ, err)
		}
		var got []string
		for _, w := range env.words {
			got = append(got, "--"+w.name+"="+w.value)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q with %q sets %q, want %q", c.environ, c.given, got, c.want)
		}
	}
}

// A command to go on with that has to lack a flag says so of the flag's variable.
func TestEnvironmentAddsToNoNextCommand(t *testing.T) {
	left := map[item.Fate]int64{item.Failed: 2}
	c := given(t, "--from", "r", "--only", "failed", "data")
	for _, variable := range []string{"", "r"} {
		t.Setenv("PENSTOCK_SEND_FROM", variable)
		t.Setenv("PENSTOCK_SEND_ONLY", variable)
		next := strings.Join(c.afterRuns(true, left, false), "\n")
		const unset = "unset PENSTOCK_SEND_FROM before: a command without --from would get it"
		if strings.Contains(next, unset) != (variable != "") ||
			strings.Contains(next, "PENSTOCK_SEND_ONLY") {
			t.Errorf("with %q:\n%s", variable, next)
		}
	}
}

func TestGives(t *testing.T) {
	for text, want := range map[string]bool{
		"x: penstock send --only failed data": true, "penstock send --only=failed": true,
		"penstock send --only": true, "penstock send --only-new --only failed": true,
		"penstock send --only-new data": false, "penstock send a--only": false, "": false,
	} {
		if got := gives(text, "only"); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
