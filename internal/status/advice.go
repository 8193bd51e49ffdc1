package status

import (
	"cmp"
	"fmt"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/verify"
	"github.com/penstock/penstock/throttle"
)

// remedies are what to do about a journal.
var remedies = map[journal.Remedy]string{
	journal.MoveAway: "move it away to begin anew (what it records as delivered is then sent " +
		"again), or give another --journal FILE",
	journal.UseAnother: "use that one, or another --journal FILE",
	journal.UseWritable: "give --journal FILE, or set PENSTOCK_STATE to a directory that can be " +
		"written, or go without by --no-journal",
	journal.NameFile:  "give a file's name",
	journal.Unused:    "a run has made it, and was killed before it recorded anything",
	journal.MakeRoom:  "make room, then give the same command again",
	journal.CheckDisk: "check the disk and its quota, or give another --journal FILE",
	journal.PutBack:   "put the file back, or remove that one too to begin anew",
	journal.RemoveLock: "remove it if you do not know it, and set PENSTOCK_STATE to a directory " +
		"that only you can write",
	journal.KeepOff:   "let no other program touch it during a run",
	journal.EndOther:  "stop it, then give the same command again",
	journal.NameOther: "name another one",
}

// mistakes are what to do about what was asked for, as it follows what is wrong. A verb stands for
// Mistake.About; of KeyInHeader it is the whole text.
var mistakes = map[source.MistakeKind]string{
	source.PathWithNUL: ": put one path per line, or give --null (-0)",
	source.ManifestUnselected: ": say by --only which of them to send, such as " +
		"--only failed,unknown",
	source.FromUnselected: ": say by --only which of its items to send, such as " +
		"--only failed,unknown",
	source.Unreadable: "; --exclude leaves it out",
	source.URLHidden:  ": give it by --to, as in the run that wrote them",
	source.URLNeedsVariable: ", and do not have {%s}, which is needed to fill it in: give the " +
		"paths or the manifest of that run, and the results with --from",
	source.URLDiffers: ", but --to gives %s: give the --to of that run, or its paths and the " +
		"results with --from",
	source.VariableLost:       ": give the manifest of that run, and the results with --from",
	source.ResultsAmongOthers: ": give results with --from, or a manifest that has only results",
	source.NoURL:              " (--to)",
	source.KeyInHeader:        `--idempotent sends it: give its value as "key" instead`,
	source.NoKey:              `: give each line a "key", or use --no-journal`,
	source.Unfilled:           ": write the value out",
	source.URLUnfilled: ` of --to: write the value out, or leave "url" out ` +
		"(%%7B is a real brace)",
}

// advise words an error, apart from those that it wraps: it adds what to do about it to its text,
// or says in words of its own why a run ends.
func advise(err error, text string) string {
	switch e := err.(type) {
	case *journal.Error:
		if e.Remedy == journal.CopyWithLog {
			return text + "; copy it and " + e.Path + "-wal to another"
		}
		if remedy := remedies[e.Remedy]; remedy != "" {
			return text + "; " + remedy
		}
	case *journal.ShardError:
		return text + "; " + otherShard(e)
	case *statedir.NoDirError:
		return text + "; set PENSTOCK_STATE to one, or give --journal FILE or --no-journal"
	case *source.AllLeftOutError:
		return text + "; " + LeftOut(e.LeftOut)
	case *verify.NoAnswerError:
		return cmp.Or(Trouble(throttle.Event{Err: e.Err, Signal: throttle.SignalOverloaded}), text)
	case *source.Mistake:
		var about []any
		if e.About != "" {
			about = append(about, e.About)
		}
		words := fmt.Sprintf(mistakes[e.Kind], about...)
		if e.Kind == source.KeyInHeader {
			return words
		}
		return text + words
	}
	return reason(err, text)
}
