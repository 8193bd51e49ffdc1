package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penstock/penstock"

// root is where the module begins, as seen from this package's directory.
const root = "../.."

var public = []string{module + "/throttle", module + "/throttle/gate", module + "/retry",
	module + "/pool"}

// fixed are the libraries that the SDK is built on.
var fixed = []string{"golang.org/x/time/rate", "github.com/cenkalti/backoff/v4",
	"github.com/hashicorp/go-retryablehttp"}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
	Standard      bool
}

// packages returns the module's packages, and all that they depend on.
func packages(t *testing.T) (ours []pkg, all map[string]pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,Standard", "./...")
	cmd.Dir = root
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &said)
	}
	all = map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ours, all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
		if within(p.ImportPath, module) {
			ours = append(ours, p)
		}
	}
}

// within reports whether path is one of the trees, or below one.
func within(path string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return path == tree ||
			strings.HasPrefix(path, tree+"/")
	})
}

func TestImports(t *testing.T) {
	ours, all := packages(t)
	hint, secret, standing := module+"/internal/hint", module+"/internal/secret",
		module+"/internal/standing"
	adaptive, seconds := module+"/internal/adaptive", module+"/internal/seconds"
	nethttp := module + "/internal/nethttp"
	filebody, form := module+"/internal/filebody", module+"/internal/form"
	sequence := module + "/internal/sequence"
	conceal, said := module+"/internal/conceal", module+"/internal/said"
	// what retry is made of
	parts := []string{module + "/internal/blame", module + "/internal/bounded",
		module + "/internal/curve", module + "/internal/trip"}
	drain, openfiles, suspend, acked := module+"/internal/drain", module+"/internal/openfiles",
		module+"/internal/suspend", module+"/internal/acked"
	human, queue, outfile := module+"/internal/human", module+"/internal/queue",
		module+"/internal/outfile"
	item, lines := module+"/internal/item", module+"/internal/lines"
	fields, template := "github.com/dunglas/httpsfv", module+"/internal/template"
	prometheus := "github.com/prometheus/client_golang/prometheus"

	for _, rule := range []struct {
		name    string
		of      []string // packages, with those below them
		may     []string // import these and the standard library
		through []string // and depend on these besides; if nil, only what is imported matters
		why     string
	}{{
		name: "public",
		of:   public,
		may: slices.Concat(fixed, parts, []string{adaptive, hint, nethttp, secret, said, standing,
			drain, filebody, form, sequence, openfiles, suspend, acked, fields,
			"golang.org/x/sync"}),
		through: []string{"github.com/hashicorp/go-cleanhttp", "golang.org/x/sys/unix", seconds},
		why:     "each of the three is useful alone, and who embeds one inherits nothing else",
	}, {
		name:    "hint",
		of:      []string{hint},
		may:     []string{fields},
		through: []string{},
		why:     "it is pure parsing",
	}, {
		name:    "adaptive",
		of:      []string{adaptive},
		may:     []string{seconds},
		through: []string{},
		why:     "it is pure: the owner has the clock, the lock and the network",
	}, {
		name: "adaptive's parts",
		of: []string{adaptive + "/evidence", adaptive + "/pace", adaptive + "/quota",
			adaptive + "/throughput"},
		may: []string{adaptive + "/quota", seconds},
		why: "each is known by itself, and what follows from all is for the controller",
	}, {
		name:    "nethttp, secret, standing, seconds, drain, openfiles",
		of:      []string{nethttp, secret, standing, seconds, drain, openfiles},
		through: []string{},
		why:     "the public packages share them",
	}, {
		name: "blame, bounded, curve, said, trip",
		of:   append(parts, said),
		may:  append(parts, "github.com/cenkalti/backoff/v4", drain, filebody, nethttp, secret),
		why:  "retry is made of them",
	}, {
		name: "conceal",
		of:   []string{conceal},
		may:  []string{secret},
		why:  "the command's secrets are those of the SDK and more",
	}, {
		name:    "filebody, form, sequence",
		of:      []string{filebody, form, sequence},
		may:     []string{form, sequence, openfiles, "golang.org/x/sys/unix"},
		through: []string{},
		why:     "retry needs it",
	}, {
		name:    "suspend, acked",
		of:      []string{suspend, acked},
		may:     []string{"golang.org/x/sys/unix"},
		through: []string{},
		why:     "throttle needs it",
	}, {
		name: "human, queue, outfile, shell",
		of:   []string{human, queue, outfile, module + "/internal/shell"},
		may:  []string{"github.com/dustin/go-humanize", "golang.org/x/term"},
		why:  "they know nothing of what is sent",
	}, {
		name: "curl, bulk",
		of:   []string{module + "/internal/curl", module + "/internal/bulk"},
		may:  []string{module + "/internal/curl", module + "/internal/lazy", conceal, secret},
		why:  "they turn one command line into another, and run neither",
	}, {
		name: "item, lines, results",
		of:   []string{item, lines, module + "/internal/results"},
		may: []string{item, lines, human, queue, outfile, filebody, template,
			module + "/internal/idmap",
			"github.com/bmatcuk/doublestar/v4", "github.com/go-json-experiment/json/jsontext"},
		why: "they are below what finds and sends items",
	}, {
		name: "dbfile, idmap, lockfile, statedir",
		of: []string{module + "/internal/dbfile", module + "/internal/idmap",
			module + "/internal/lockfile", module + "/internal/statedir"},
		may: []string{"github.com/gofrs/flock", "golang.org/x/sys/unix", "modernc.org/sqlite"},
		why: "the journal is made of them, and they know nothing of it",
	}, {
		name: "journal",
		of:   []string{module + "/internal/journal"},
		may: []string{human, item, module + "/internal/results", module + "/internal/dbfile",
			module + "/internal/idmap", module + "/internal/lockfile",
			module + "/internal/statedir",
			"modernc.org/sqlite"},
		why: "any engine may use it",
	}, {
		name: "outbox",
		of:   []string{module + "/internal/outbox"},
		may: []string{module + "/internal/dbfile", module + "/internal/lockfile",
			module + "/internal/statedir", module + "/internal/turns", "modernc.org/sqlite"},
		why: "it keeps what it is given, and sends nothing",
	}, {
		name: "body, compose, digest",
		of: []string{module + "/internal/body", module + "/internal/compose",
			module + "/internal/digest"},
		may: []string{filebody, form, sequence, item, module + "/internal/digest", fields,
			module + "/internal/compose", module + "/internal/template", human},
		why: "they open what is sent for any engine",
	}, {
		name: "spool",
		of:   []string{module + "/internal/spool"},
		may:  []string{filebody, human},
		why:  "it keeps bodies for any engine",
	}, {
		name: "template",
		of:   []string{template},
		may:  []string{conceal, human, "github.com/go-json-experiment/json/jsontext"},
		why:  "it knows nothing of items",
	}, {
		name: "source",
		of:   []string{module + "/internal/source"},
		may: []string{
			filebody, human, item, lines, nethttp, module + "/internal/results", conceal, secret,
			template, module + "/internal/compose", "github.com/bmatcuk/doublestar/v4",
			"github.com/go-json-experiment/json/jsontext",
		},
		why: "they say what is to be sent, and not how",
	}, {
		name: "progress",
		of:   []string{module + "/internal/progress"},
		may:  []string{human, queue, "github.com/vbauerster/mpb/v8", "golang.org/x/term"},
		why:  "it shows what it is given",
	}, {
		name: "hosts",
		of:   []string{module + "/internal/hosts"},
		why:  "every server of ours that a browser can reach asks it",
	}, {
		name: "board",
		of:   []string{module + "/internal/board"},
		may:  []string{human},
		why:  "it shows what it is given, for any engine",
	}, {
		name: "metrics",
		of:   []string{module + "/internal/metrics"},
		may:  []string{module + "/internal/board", outfile, prometheus},
		why:  "it shows what it is given, for any engine",
	}, {
		name: "admin",
		of:   []string{module + "/internal/admin"},
		may: []string{module + "/internal/board", module + "/internal/hosts", human,
			module + "/internal/metrics", module + "/internal/relay"},
		why: "it shows and changes a relay, and knows nothing of what that is made of",
	}, {
		name: "clientconn, garbage, prefer",
		of: []string{module + "/internal/clientconn", module + "/internal/garbage",
			module + "/internal/prefer"},
		may: []string{"golang.org/x/sys/unix"},
		why: "they are for any server, and know nothing of where a request goes",
	}, {
		name: "problem",
		of:   []string{module + "/internal/problem"},
		may:  []string{module + "/retry"},
		why:  "it writes what it is given, for any server",
	}, {
		name: "wire",
		of:   []string{module + "/internal/wire"},
		may:  []string{acked, human, nethttp, openfiles},
		why:  "it sends whatever it is given, for any engine",
	}, {
		name: "fair",
		of:   []string{module + "/internal/fair"},
		may:  []string{standing, module + "/throttle", "golang.org/x/time/rate"},
		why:  "it chooses who is next, and bounds and answers nothing",
	}, {
		name: "courier",
		of:   []string{module + "/internal/courier"},
		may: []string{conceal, human, item, nethttp, module + "/internal/fair",
			module + "/internal/outbox", module + "/internal/outcome", module + "/internal/reply",
			module + "/internal/resume", module + "/internal/status", module + "/internal/upstream",
			module + "/retry", "golang.org/x/time/rate"},
		why: "it delivers what is stored, and knows nothing of clients that wait",
	}, {
		name: "parking",
		of:   []string{module + "/internal/parking"},
		may:  []string{module + "/internal/clientconn", module + "/internal/fair"},
		why:  "it keeps connections for any server, and answers nothing",
	}, {
		name: "timing",
		of:   []string{module + "/internal/timing"},
		may:  []string{module + "/internal/fair", module + "/throttle"},
		why:  "it says what a transport has found",
	}, {
		name: "receipt",
		of:   []string{module + "/internal/receipt"},
		may:  []string{module + "/internal/clientconn", module + "/internal/outbox"},
		why:  "it says what is stored, and nothing of why",
	}, {
		name: "cache",
		of:   []string{module + "/internal/cache"},
		may:  []string{"github.com/maypok86/otter/v2"},
		why:  "it is a transport like any other, and knows nothing of what is below or above it",
	}, {
		name: "rules",
		of:   []string{module + "/internal/rules"},
		may: []string{"github.com/go-json-experiment/json/jsontext",
			"github.com/itchyny/gojq"},
		why: "it judges answers by what the user says of them, for any engine",
	}, {
		name: "stop",
		of:   []string{module + "/internal/stop"},
		may:  []string{module + "/internal/exit", module + "/internal/wire", module + "/retry"},
		why:  "what finds a reason to end may import it, and nothing there words it",
	}, {
		name: "verify",
		of:   []string{module + "/internal/verify"},
		may: []string{
			human, module + "/internal/digest", item, nethttp, module + "/internal/reply",
			module + "/throttle",
		},
		why: "it asks for any engine, and remembers nothing",
	}, {
		name: "resume",
		of:   []string{module + "/internal/resume"},
		may: []string{module + "/internal/item", module + "/internal/journal", nethttp, conceal,
			template, fields},
		why: "it decides by what it is told, and does nothing",
	}, {
		name: "outcome",
		of:   []string{module + "/internal/outcome"},
		may: []string{module + "/internal/body", hint, item, nethttp,
			module + "/internal/resume", module + "/internal/rules",
			module + "/internal/upstream", module + "/internal/wire", module + "/retry",
			module + "/throttle"},
		why: "it judges by what it is told, and has no words",
	}, {
		name: "header",
		of:   []string{module + "/internal/header"},
		may:  []string{item, nethttp, template},
		why:  "what may be shown to which server is judged by origins alone",
	}, {
		name: "upload",
		of:   []string{module + "/internal/upload"},
		may: []string{module + "/internal/body", module + "/internal/header", item, template,
			module + "/internal/outcome", module + "/internal/resume", module + "/internal/status"},
		why: "it makes requests, and sends none",
	}, {
		name: "workers",
		of:   []string{module + "/internal/workers"},
		may:  []string{module + "/internal/upstream", module + "/throttle"},
		why:  "it counts, and starts nothing",
	}, {
		name: "quota",
		of:   []string{module + "/internal/quota"},
		may: []string{suspend, module + "/throttle", "github.com/redis/go-redis/v9",
			"golang.org/x/time/rate"},
		why: "it leases slots to upstreams, and knows nothing of what is sent",
	}, {
		name: "examples",
		of:   []string{module + "/examples"},
		may:  slices.Concat(public, fixed),
		why:  "they show what others can write",
	}} {
		for _, p := range ours {
			if !within(p.ImportPath, rule.of...) {
				continue
			}
			// Below the same directory is the same tree: throttle/x may import throttle, but retry
			// may not.
			own := slices.DeleteFunc(slices.Clone(rule.of),
				func(tree string) bool { return !within(p.ImportPath, tree) })
			for _, path := range p.Imports {
				if !all[path].Standard && !within(path, own...) && !within(path, rule.may...) {
					t.Errorf("%s: %s imports %s: %s", rule.name, p.ImportPath, path, rule.why)
				}
			}
			for _, path := range p.Deps {
				if rule.through != nil && !all[path].Standard && !within(path, own...) &&
					!within(path, rule.may...) && !within(path, rule.through...) {
					t.Errorf("%s: %s depends on %s: %s", rule.name, p.ImportPath, path, rule.why)
				}
			}
		}
	}

	for _, p := range ours {
		for _, path := range p.Imports {
			switch {
			case within(path, module+"/cmd", module+"/examples") &&
				!within(p.ImportPath, module+"/cmd"):
				t.Errorf("%s imports %s, which is on top of everything", p.ImportPath, path)
			case within(path, "github.com/itchyny/gojq") &&
				!within(p.ImportPath, module+"/internal/rules"):
				t.Errorf("%s imports %s, whose bounds are in internal/rules", p.ImportPath, path)
			case within(path, "github.com/redis/go-redis/v9") &&
				!within(p.ImportPath, module+"/internal/quota"):
				t.Errorf("%s imports %s, which is for internal/quota alone", p.ImportPath, path)
			case within(path, prometheus) && !within(p.ImportPath, module+"/internal/metrics"):
				t.Errorf("%s imports %s, which is for internal/metrics alone", p.ImportPath, path)
			case within(path, module+"/internal/servers", module+"/internal/memnet",
				module+"/internal/memdir", module+"/internal/test", module+"/internal/golden",
				module+"/internal/secret/secrettest") &&
				!within(p.ImportPath, module+"/internal/bench"):
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, path)
			}
		}
		if within(p.ImportPath, module+"/internal/lab") {
			for _, path := range p.Deps {
				if within(path, append(public, "golang.org/x/time")...) {
					t.Errorf("%s depends on %s: the judge must not share the limiters that it "+
						"judges", p.ImportPath, path)
				}
			}
		}
	}
}
