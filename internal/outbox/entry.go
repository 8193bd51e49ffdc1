package outbox

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Request is what is to be sent later, without its body.
type Request struct {
	Client string // takes turns with others
	Target string // where it goes, as the caller names it
	Method string
	URI    string // path and query
	Header http.Header
	Key    string // idempotency key; it may be empty
}

// A State is what became of a request so far.
type State string

// The states. A request that waits or is being sent is pending; all others have ended. What was not
// delivered still has its body.
const (
	Waiting   State = "waiting"
	Sending   State = "sending"
	Delivered State = "delivered"
	Failed    State = "failed"
	Unknown   State = "unknown" // the server may have it
)

// States are all states.
var States = []State{Waiting, Sending, Delivered, Failed, Unknown}

// An Entry is a request and what became of it.
type Entry struct {
	Request
	ID       string // unguessable; letters, digits and a hyphen
	Seq      int64  // the older of two has the less
	Size     int64  // of the body, in bytes
	State    State
	Accepted time.Time
	Due      time.Time // it waits until then; if zero, it need not
	Attempts int
	First    time.Time // first attempt that the server may have; zero if there was none
	Ended    time.Time // zero while it is pending
	Status   int       // of the last answer; 0 if there was none
	Reason   string    // why it waits again, has failed or is unknown

	Answer *Answer // the last one; nil in lists, and if there was none

	token  string
	last   time.Time // when Due was set
	head   []byte    // the header as it is stored
	digest []byte    // of all that is sent; see newDigest
	inFile bool      // the body has a file of its own
	answer int64     // bytes of the answer's body
}

// newDigest returns a hash of what is sent of the request, of which the body is still to follow.
func (e *Entry) newDigest() hash.Hash {
	h := sha256.New()
	for _, part := range []string{e.Target, e.Method, e.URI, e.Key, string(e.head)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h
}

// An Answer is what a server has answered.
type Answer struct {
	Header http.Header
	Body   []byte
	Cut    bool // the body was longer
}

// MaxAnswer is how many bytes of an answer's body are kept.
const MaxAnswer = 64 << 10

// An ID has the row's number, by which it is found, and 128 random bits, so that nobody can guess
// it.
func newID(seq int64) (id, token string) {
	token = strings.ToLower(rand.Text())
	return idOf(seq, token), token
}

func idOf(seq int64, token string) string { return strconv.FormatInt(seq, 36) + "-" + token }

// parseID returns the parts of an ID. Of what cannot be one the number is 0, which no row has.
func parseID(id string) (seq int64, token string) {
	number, token, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseInt(number, 36, 64)
	if err != nil || seq < 1 || strconv.FormatInt(seq, 36) != number {
		return 0, ""
	}
	return seq, token
}
