package retry

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/nethttp"
)

const (
	// maxKinds bounds what a Client remembers of kinds, at about 200 bytes each. To forget one
	// costs little: what its requests went through since their last refusal counts for none of
	// them.
	maxKinds = 8192

	// A refusal is blamed on the request while the others that were accepted had been refused at
	// most this often: then eight refusals in a row are chance once in a hundred million times.
	blameShare = 0.1

	// The same for a failure, such as 500, of which a request that is retried costs the server no
	// more than another: then eight in a row are chance once in 256 times.
	failureShare = 1

	// sureBlame is how often a request must have been blamed for it to be to blame as well when no
	// other is left to be accepted: an outage that begins may look like that once, …
	sureBlame = 2
	// … but not after so many others since its first refusal, of which none was ever refused.
	sureAccepted = 20
)

// kindKey is what the requests of one kind have in common.
type kindKey [sha256.Size]byte

// kindOf returns the kind of a request: what the user says, or origin, method and credential.
// Only a hash is kept: a credential is a secret.
func (c *Client) kindOf(req *http.Request) kindKey {
	if c.Key != nil {
		return sha256.Sum256([]byte(c.Key(req)))
	}
	var b strings.Builder
	for _, part := range [...]string{nethttp.Origin(req.URL), methodOf(req)} {
		b.WriteString(part)
		b.WriteByte(0)
	}
	writeCredential(&b, req)
	return sha256.Sum256([]byte(b.String()))
}

// credentialHeaders name the account of a request. A cookie is not one of them: many change with
// each answer.
var credentialHeaders = [...]string{
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "Apikey", "X-Auth-Token", "X-Auth-Key", "X-Access-Token", "X-Goog-Api-Key",
	"Ocp-Apim-Subscription-Key", "Private-Token", "X-Shopify-Access-Token",
}

// credentialParameters are those of a query that do. The names "key" and "token" are not among
// them: in uploads they often name the one object.
var credentialParameters = [...]string{"api_key", "apikey", "access_token"}

func writeCredential(b *strings.Builder, req *http.Request) {
	for _, name := range credentialHeaders {
		for _, value := range req.Header[name] {
			// Behind the name of the account a signature has what differs from request to request.
			account, _, _ := strings.Cut(value, ",")
			if scheme, rest, found := strings.Cut(account, " "); found && !strings.EqualFold(scheme, "Basic") && !strings.EqualFold(scheme, "Bearer") {
				rest, _, _ = strings.Cut(rest, ":")
				account = scheme + " " + rest
			}
			b.WriteString(name)
			b.WriteByte(0)
			b.WriteString(account)
			b.WriteByte(0)
		}
	}
	if req.URL == nil {
		return
	}
	if req.URL.User != nil {
		b.WriteString(req.URL.User.String())
		b.WriteByte(0)
	}
	if req.URL.RawQuery == "" {
		return
	}
	query, _ := url.ParseQuery(req.URL.RawQuery) // what can be read of it
	for _, name := range credentialParameters {
		for _, value := range query[name] {
			b.WriteString(name)
			b.WriteByte(0)
			b.WriteString(value)
			b.WriteByte(0)
		}
	}
}

// A kind is what the requests of one kind went through together.
type kind struct {
	mu       sync.Mutex
	accepted int64 // tries that were accepted
	endured  int64 // how often those requests had been refused before
	refused  int64 // tries that were refused
	innocent int64 // of these, those of requests that are not surely to blame
	newest   int64 // refused, when the try began that was accepted and began last
}

// kind returns what the requests of a kind know together.
func (c *Client) kind(key kindKey) *kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return remembered(&c.mu.kinds, key, maxKinds)
}

// never reports whether nothing of the kind was ever accepted.
func (k *kind) never() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.accepted == 0
}

// begins returns the instant at which a try begins, counted in refusals of its kind.
func (k *kind) begins() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused
}

// accept records a try that was accepted, of a request that had been refused so often before.
func (k *kind) accept(began int64, refusals int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.accepted++
	k.endured += refusals
	k.newest = max(k.newest, began)
}

// failed stands for the status of all tries that may have been processed: 500 and 502 of one
// request have one cause.
const failed = -1

// blame is what one call knows of its refusals.
type blame struct {
	refusals int64 // of the call
	status   int   // of the last one
	counted  int   // how often it was to blame
	sure     bool

	// Its kind's counts at the last one, and at the first one with that status.
	number, accepted, endured, innocent int64
	firstAccepted, firstEndured         int64
}

// weigh reports whether a refusal now, in the same way as the last one, counts as a failure of the
// request itself, and whether the request is surely to blame then. It counts if others of its kind,
// sent since it was last refused, were accepted, and had hardly been refused themselves. Where many
// compete for what an upstream accepts, or wait for a quota, those that are accepted were refused
// before, and no request is to blame. It requires that mu is held.
func (k *kind) weigh(b *blame) (counts, sure bool) {
	passed, endured := k.accepted-b.accepted, k.endured-b.endured
	share := blameShare
	if b.status == failed {
		share = failureShare
	}
	counts = b.refusals > 0 && passed > 0 && k.newest >= b.number && float64(endured) <= share*float64(passed)
	many := k.accepted-b.firstAccepted >= sureAccepted && k.endured == b.firstEndured
	return counts, b.sure || counts && (many || b.counted+1 >= sureBlame)
}

// refuse records a refusal with the given status, and reports whether it counts as a failure of the
// request itself. A connection that is refused says nothing about the request, which was not sent.
func (k *kind) refuse(b *blame, status int) (counts bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused++
	if status != 0 && status == b.status {
		if counts, b.sure = k.weigh(b); counts {
			b.counted++
		} else if b.sure && k.innocent == b.innocent { // and no other is left to be accepted
			counts = true
		}
	} else {
		b.firstAccepted, b.firstEndured = k.accepted, k.endured
	}
	if !b.sure {
		k.innocent++
	}
	b.refusals++
	b.status, b.number, b.accepted, b.endured, b.innocent = status, k.refused, k.accepted, k.endured, k.innocent
	return counts
}

// blames reports whether a request that is refused once more is surely to blame.
func (k *kind) blames(b *blame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, sure := k.weigh(b)
	return sure
}
