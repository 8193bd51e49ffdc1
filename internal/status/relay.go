package status

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// Why the relay itself answers a request. Nothing was sent then, unless an answer says so.
const (
	NotAProxy = "this is a relay to servers that were named when it was started, and no proxy: " +
		"ask it for a path, such as /v1/files/a.json"
	NoUpgrade = "the relay does not pass on upgrades to another protocol, such as WebSocket: " +
		"connect to the server itself"
	ForeignPage = "a page of another site had a browser send this, and the relay serves programs: " +
		"send it from one"
	NoTrace = "the relay does not pass on TRACE, whose answer shows the headers that reach the " +
		"server"
	NoForwards    = "Max-Forwards is 0, and the relay has no options of its own"
	NoPath        = "the relay passes on requests for a path, which begins with a slash"
	LeavesPath    = "the path has a segment .., and could leave the path of the target: write it out"
	Loop          = "the request has been through a relay twice: check that no relay sends to itself"
	RelayStopping = "the relay is stopping, and takes nothing new: try again when it is back"
)

// StrangeHost refuses a request whose Host is no name of the relay.
func StrangeHost(host string) string {
	return fmt.Sprintf("the relay is not called %s: use localhost or its address, or start it "+
		"with --host %[1]s", human.Quote(host))
}

// NoSuchTarget refuses a path whose first segment names no target.
func NoSuchTarget(name string, known []string) string {
	return fmt.Sprintf("no target is called %s: a path begins with one of /%s/", human.Quote(name),
		strings.Join(known, "/, /"))
}

// QueueFull refuses a request for which the queue has no room.
func QueueFull(why string) string {
	return "too much is waiting here already: " + why + " (--queue, --queue-bytes)"
}

// TooLate refuses a request whose turn would not come in time. Most is how long it waits, and
// closed is [Unavailable].
func TooLate(wait time.Duration, most, closed string) string {
	wait = max(wait.Round(time.Second), time.Second)
	if closed != "" {
		return fmt.Sprintf("%s: the next try is in some %s, and the request waits for %s at most",
			closed, human.Span(wait), most)
	}
	return fmt.Sprintf("its turn would come in some %s, and it waits for %s at most: send less, "+
		"or have it wait for longer", human.Span(wait), most)
}

// Patience says how long a request waits, and whether the relay or its client says so.
func Patience(d time.Duration, preferred bool) string {
	if preferred {
		return fmt.Sprintf("%s (Prefer: wait=%d)", human.Exact(d), d/time.Second)
	}
	return human.Exact(d) + " (--queue-wait)"
}

// Unavailable says why nothing is sent to a server at present, and since or until when; "" if
// something is. Trouble is what went wrong with it last.
func Unavailable(s throttle.UpstreamStats, trouble string) string {
	text, until := "", s.Paused.UTC().Format(time.RFC3339)
	switch {
	case PausedByHand(s) && s.PauseSource == QuotaByHand:
		return "the quota is paused by hand until " + until
	case PausedByHand(s):
		return "the relay is paused by hand"
	case s.PauseSource == "quota":
		return "the quota at the server is used up until " + until
	case !s.Paused.IsZero() && s.PauseSource != "":
		return fmt.Sprintf("the server asked for a wait until %s (%s)", until,
			headerName(s.PauseSource))
	case !s.Paused.IsZero():
		text = "the server is given a rest until " + until
	case s.Phase == throttle.PhaseDown:
		text = "the server has been down since " + s.Changed.UTC().Format(time.RFC3339)
	}
	if text != "" && trouble != "" {
		text += fmt.Sprintf(" (%s)", trouble)
	}
	return text
}

// SentOnce warns that bodies cannot be sent again.
func SentOnce(why error) string {
	return strings.TrimPrefix(Plain(why), "spool: ") + ": such requests are sent once only " +
		"(--spool, --spool-bytes)"
}

// Late is why a request was given up that had waited. Closed is [Unavailable], and last how its
// last attempt failed, if there was one.
func Late(most, closed, last string) string {
	text := "its turn did not come within " + most
	if last == "" {
		text = "it was not sent: " + text
	}
	return after(text, closed, last)
}

// GivenUp is why a request was given up that the server did not accept for so long.
func GivenUp(most time.Duration, sent bool, closed, last string) string {
	text := fmt.Sprintf("it was not accepted within %s (--give-up-after)", human.Exact(most))
	if !sent {
		text = fmt.Sprintf("it was not sent within %s (--give-up-after)", human.Exact(most))
	}
	return after(text, closed, last)
}

func after(text, closed, last string) string {
	if closed != "" {
		text += "; " + closed
	}
	if last != "" {
		text += "; the last attempt: " + last
	}
	return text
}

// ClientFault says that a request could not be passed on since its body did not come.
func ClientFault(err error) string {
	return "the body of the request did not come as it was announced: " + Plain(err)
}

// InterimFlood says that a target went on to send interim answers.
func InterimFlood(most int) string {
	return fmt.Sprintf("the server sent more than %d interim answers (1xx) and no final one", most)
}

// Relayed is [Attempt] for a request that the relay has passed on.
func Relayed(end retry.Result) string {
	return relayWords.Replace(Attempt(end, false))
}

// relayWords makes of what is said of files what is said of requests.
var relayWords = strings.NewReplacer("--max-wait", "--queue-wait",
	"the whole file", "the whole request", "the file or the server", "the request or the server",
	" (--key-lifetime)", "")

// PerhapsAccepted adds to what went wrong that the target may have the request all the same.
func PerhapsAccepted(text string) string {
	text, _, _ = strings.Cut(text, ": "+mayHaveArrived) // which says no more
	return text + "; the server may have accepted the request: check there before you send it again"
}

// Refusal says in a few words how a server did not accept a request for its own reasons; "" if it
// did, or if it has answered the request itself.
func Refusal(was outcome.Attempt, e throttle.Event) string {
	trouble := Trouble(e)
	switch {
	case trouble == "": // also if its client has left
		return ""
	case e.Status == 0:
		return fmt.Sprintf("not answered (%s)", trouble)
	case was == outcome.Throttled:
		return fmt.Sprintf("throttled (%d)", e.Status)
	case was == outcome.Overloaded && e.Status == http.StatusServiceUnavailable:
		return fmt.Sprintf("overloaded (%d)", e.Status)
	case was == outcome.Overloaded, was == outcome.TimedOut, was == outcome.Broken:
		return fmt.Sprintf("not accepted (%d)", e.Status)
	}
	return ""
}

// RelayStarted says where the relay listens and where it sends to.
func RelayStarted(addr string, targets []string, given throttle.Limits, quota string) string {
	return fmt.Sprintf("relay on http://%s to %s; %s", addr, strings.Join(targets, ", "),
		limits(given, quota))
}

// RelayOpen warns that others than this machine can use the relay.
func RelayOpen(addr string, credentials bool) string {
	text := fmt.Sprintf("whoever reaches %s can send through the relay", addr)
	if credentials {
		text += ", with your credentials"
	}
	return text + ": let only whom you trust reach it"
}

// RelayQueue says that requests wait for long.
func RelayQueue(waiting, clients int, oldest time.Duration, holding string) string {
	text := fmt.Sprintf("%s of %s wait, the first for %s", human.Plural(waiting, "request"),
		human.Plural(clients, "client"), human.Span(oldest))
	if holding != "" {
		text += ": " + holding
	}
	return text
}

// RelayTraffic says what was relayed in the last while. Learned is what was found of the server's
// pace, and took how long it took from the first request to the last answer.
func RelayTraffic(
	answered int64, took time.Duration, waiting, inFlight int, learned, holding string,
) string {
	text := human.Plural(answered, "answer")
	if took >= time.Second { // else a rate says nothing
		text += " in " + human.Span(took)
		if answered > 1 {
			text += ", " + human.Rate(float64(answered)/took.Seconds())
		}
	}
	return human.Join("; ", text, fmt.Sprintf("%d in flight, %d waiting", inFlight, waiting),
		learned, holding)
}

// RelayStops announces the end.
func RelayStops(cause error, active int, limit time.Duration) string {
	text := fmt.Sprintf("%v: taking nothing new", cause)
	if active == 0 {
		return text
	}
	return text + fmt.Sprintf(", %s may finish within %s; %s",
		human.Plural(active, "request"), human.Exact(limit), breakingOff(cause))
}
