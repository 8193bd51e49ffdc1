package lab

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

var partnerPreset = preset{Preset{
	Name: "partner",
	Summary: "a company's API: fields and checksums that it wants, ids in its answers, limits by " +
		"API key",
	Params: []Param{
		{"fields", "none", "names of form fields or JSON members that must be there, such as " +
			"project,name; else 400"},
		{"file", "none", "form field that must hold a file; else 400"},
		{"base64", "none", "form field or JSON member that holds the file, as image or " +
			"image.content; else 400"},
		{"checksum", "none", "header with the file's SHA-256 or MD5, in hex or base64; if it is " +
			"missing or wrong, 400"},
		{"key", "none", "header with an API key; without one, 401"},
		{"rps", "0", "requests a second for a key, else refused; 0: no limit"},
		{"burst", "1", "requests for a key that may come together"},
		{"quota", "0", "requests for a key in a window, else refused; 0: no limit"},
		{"window", "1m", "its length: windows begin on the wall clock"},
		{"refusal", "403", "status of such a refusal, whose body says rateLimitExceeded or " +
			"quotaExceeded: 403 or 429"},
		{"status", "201", "of the answer to what is stored: 200, 201 or 202"},
		{"reject", "0", `share of the files that get 200 with "success":false and are not ` +
			"stored, always the same ones"},
		{"seed", "1", "of their choice"},
		{"latency", "50ms", "from the arrival to the answer of an accepted request"},
	},
}, func(v *values) rule {
	p := &partner{
		fields: v.names("fields"), file: v.word("file"), base64: v.word("base64"),
		checksum: v.word("checksum"), key: v.word("key"),
		rps:   v.float("rps", 0, 1e9, "a number of requests a second, such as 20 or 0.5"),
		burst: v.count("burst", 1), quota: v.count("quota", 0),
		window: v.duration("window", time.Nanosecond), refusal: v.status("refusal", 403, 429),
		status: v.status("status", 200, 201, 202), reject: v.share("reject"), seed: v.seed(),
		latency: v.duration("latency", 0),
		clients: map[string]*client{}, places: map[string]item{},
	}
	return p
}}

// partner is the API of a company that others send files to.
type partner struct {
	fields                      []string
	file, base64, checksum, key string // names; "" is none
	rps                         float64
	burst, quota                int
	window                      time.Duration
	refusal, status             int
	reject                      float64
	seed                        uint64
	latency                     time.Duration

	mu      sync.Mutex         // protects the two below, and what is in them
	clients map[string]*client // by API key
	places  map[string]item    // by the name of the Location that was given for it
}

// A client is what is known of an API key.
type client struct {
	pace   strict
	window int64 // the number of the one that used is of
	used   int
}

// A fault is what is wrong with a request, as the API says it.
type fault struct {
	status  int
	reason  string // a word for programs
	message string // for people
}

func (p *partner) serve(x *exchange) {
	if x.looks {
		p.look(x)
		return
	}
	if f := p.admit(x); f != nil {
		p.refuse(x, *f)
		return
	}
	if f := p.read(x); f != nil {
		p.refuse(x, *f)
		return
	}
	id := fmt.Sprintf("%x", x.sum[:6])
	switch {
	case !x.admit():
		if x.verdict != http.StatusCreated {
			p.refuse(x, fault{x.verdict, "refused", strings.TrimSpace(text(x.verdict))})
			return
		}
	case p.rejects(x):
		x.ledger.count(&x.ledger.mu.stats.Rejected)
		p.say(x, http.StatusOK, map[string]any{"success": false, "error": "this file is rejected"})
		return
	default:
		x.sleepUntil(x.at.Add(p.latency))
		if x.store(); !x.stored {
			p.refuse(x, fault{x.verdict, "conditionNotMet", strings.TrimSpace(text(x.verdict))})
			return
		}
	}
	if x.r.Method == http.MethodPost {
		x.w.Header().Set("Location", p.place(x, id))
	}
	p.say(x, p.status, map[string]any{"success": true, "id": id})
}

// admit judges the API key and how much it has asked for.
func (p *partner) admit(x *exchange) *fault {
	var key string
	if p.key != "" {
		if key = x.r.Header.Get(p.key); key == "" {
			return &fault{http.StatusUnauthorized, "required",
				"the header " + p.key + " must hold an API key"}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[key]
	if c == nil {
		c = new(client)
		if p.rps > 0 {
			c.pace.interval = time.Duration(float64(time.Second) / p.rps)
			c.pace.tolerance = time.Duration(p.burst-1)*c.pace.interval + tolerance
		}
		p.clients[strings.Clone(key)] = c
	}
	if p.rps > 0 && !c.pace.take(x.at) {
		x.ledger.count(&x.ledger.mu.stats.OverRate)
		return &fault{p.refusal, "rateLimitExceeded", "Rate Limit Exceeded"}
	}
	if now := x.at.UnixNano() / int64(p.window); now > c.window {
		c.window, c.used = now, 0
	}
	if p.quota > 0 && c.used == p.quota {
		x.ledger.count(&x.ledger.mu.stats.OverQuota)
		return &fault{p.refusal, "quotaExceeded", "Quota Exceeded"}
	}
	c.used++
	return nil
}

// tolerance is how much too early a request may be for a pace, as timers are.
const tolerance = 10 * time.Millisecond

// rejects reports whether a file is one of those that are never taken.
func (p *partner) rejects(x *exchange) bool {
	if p.reject == 0 {
		return false
	}
	return rand.New(rand.NewPCG(p.seed, binary.BigEndian.Uint64(x.sum[:]))).Float64() < p.reject
}

// place returns the path under which the file is found that was stored last.
func (p *partner) place(x *exchange, id string) string {
	at := *x.r.URL
	at.RawQuery = ""
	at = *at.JoinPath(id)
	if x.ledger.names {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.places[Name(&url.URL{Path: at.Path, RawPath: at.RawPath})] =
			item{size: x.size, sum: x.sum}
	}
	return at.EscapedPath()
}

// look answers with what is stored under a name or a Location.
func (p *partner) look(x *exchange) {
	p.mu.Lock()
	it, known := p.places[Name(x.r.URL)]
	p.mu.Unlock()
	if known {
		x.show(it)
		return
	}
	x.look()
}

// refuse answers with an error in the shape that Google's APIs have.
func (p *partner) refuse(x *exchange, f fault) {
	domain := "global"
	if f.status == p.refusal && strings.HasSuffix(f.reason, "Exceeded") {
		domain = "usageLimits"
	}
	var e refusal
	e.Error.Code, e.Error.Message = f.status, f.message
	e.Error.Errors = []reason{{f.message, domain, f.reason}}
	p.say(x, f.status, e)
}

// A refusal is the body of one.
type refusal struct {
	Error struct {
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Errors  []reason `json:"errors"`
	} `json:"error"`
}

type reason struct {
	Message string `json:"message"`
	Domain  string `json:"domain"`
	Reason  string `json:"reason"`
}

func (p *partner) say(x *exchange, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // it is made above
	}
	x.w.Header()["Content-Type"] = []string{"application/json"}
	x.reply(status, string(text)+"\n")
}

// word is a parameter's text, or "" for none.
func (v *values) word(name string) string {
	if v.text[name] == "none" {
		return ""
	}
	if v.text[name] == "" || strings.ContainsAny(v.text[name], ", ") {
		v.bad(name, "one name, or none")
	}
	return v.text[name]
}

// names are words with commas between them.
func (v *values) names(name string) []string {
	if v.text[name] == "none" {
		return nil
	}
	list := strings.Split(v.text[name], ",")
	if slices.Contains(list, "") {
		v.bad(name, "names with commas between them, such as project,name, or none")
	}
	return list
}
