package quota

import "time"

// A NoticeKind is what a [Notice] is about.
type NoticeKind uint8

// What people should know.
const (
	Gone      NoticeKind = iota + 1 // the server cannot be reached: the process goes on by itself
	Stopped                         // that took too long, and the process sends nothing any more
	Back                            // the server is back
	Hosts                           // more or fewer processes take part
	Changed                         // the settings did
	Evicts                          // the server may drop the quota
	Overruled                       // what the process and others gave is not in force
	Differs                         // others gave something else, as was found too late
	Paused                          // all processes are paused
	Resumed                         // a pause was ended early
)

// A Notice is something that people should know.
type Notice struct {
	Kind     NoticeKind
	Time     time.Time
	Err      error         // Gone, Stopped, Evicts, Differs: why
	Down     Down          // Gone: what is done about it …
	For      time.Duration // … and for how long at most; if zero, until the server is back
	Settings Settings
	Given    Settings // Overruled: by this process
	Hosts    int
	Until    time.Time // Paused: its end …
	Source   string    // … and what it is because of
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
