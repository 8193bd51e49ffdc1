package quota

import (
	"fmt"
	"time"
)

// A NoticeKind is what a [Notice] is about.
type NoticeKind uint8

// What people should know.
const (
	Gone    NoticeKind = iota + 1 // the server cannot be reached, and the process goes on by itself
	Stopped                       // that took too long, and the process sends nothing any more
	Back                          // the server is back
	Hosts                         // more or fewer processes take part
	Changed                       // the settings did
	Evicts                        // the server may drop the quota
)

// A Notice is something that people should know.
type Notice struct {
	Kind     NoticeKind
	Time     time.Time
	Err      error // Gone, Stopped, Evicts: why
	Down     Down  // Gone: what is done about it
	Settings Settings
	Hosts    int
}

// String returns the notice in a sentence without its end.
func (n Notice) String() string {
	switch n.Kind {
	case Gone:
		long := alone
		if n.Settings.InFlight > 0 {
			long = lifetime
		}
		does := map[Down]string{
			Share: fmt.Sprintf("going on with a share of 1/%d, for at most %.0f s", max(n.Hosts, 1),
				long.Seconds()),
			Stop: "nothing is sent until it is back", Local: "going on with a rate of our own",
		}[n.Down]
		return fmt.Sprintf("%v; %s", n.Err, does)
	case Stopped:
		return fmt.Sprintf("%v; nothing is sent until it is back", n.Err)
	case Back:
		return "the Redis server of the quota is back"
	case Hosts:
		return fmt.Sprintf("the quota is shared by %d now", n.Hosts)
	case Changed:
		return fmt.Sprintf("the quota was changed: %s", n.Settings)
	default:
		return fmt.Sprint(n.Err)
	}
}

// String returns the settings for people.
func (s Settings) String() string {
	text := "no rate"
	if s.Rate > 0 {
		text = fmt.Sprintf("%v a second", float64(s.Rate))
	}
	if s.Burst > 1 {
		text += fmt.Sprintf(", %d at once", s.Burst)
	}
	if s.InFlight > 0 {
		text += fmt.Sprintf(", %d in flight", s.InFlight)
	}
	return text
}

// tell passes a notice on.
func (q *Quota) tell(n Notice) {
	if q.options.Notify == nil {
		return
	}
	q.notify.Lock()
	defer q.notify.Unlock()
	q.options.Notify(n)
}
