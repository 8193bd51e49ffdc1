package receipt

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/outbox"
)

// What is not known yet has no field, and a body that is no text is in base64.
func TestReceipt(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	e := outbox.Entry{ID: "1-a", State: outbox.Waiting, Accepted: at, Size: 3,
		Request: outbox.Request{Client: "name nightly", Target: "t", Method: "PUT", URI: "/x"}}
	const begin = `{"id":"1-a","state":"waiting","method":"PUT","target":"t","uri":"/x",` +
		`"client":"nightly","size":3,"accepted":"2026-01-02T02:04:05Z","attempts":0`
	for _, c := range []struct {
		status int
		answer *outbox.Answer
		want   string
	}{
		{0, nil, `}`},
		{200, &outbox.Answer{Header: http.Header{"A": {"b"}}, Body: []byte("ok")},
			`,"status":200,"answer":{"status":200,"headers":{"A":["b"]},"body":"ok"}}`},
		{500, &outbox.Answer{Body: []byte{0xff}, Cut: true}, `,"status":500,` +
			`"answer":{"status":500,"headers":null,"body_base64":"/w==","truncated":true}}`},
	} {
		e.Status, e.Answer = c.status, c.answer
		text, err := json.Marshal(Full(e))
		if err != nil || string(text) != begin+c.want {
			t.Errorf("%s, want %s: %v", text, begin+c.want, err)
		}
	}
	if Of(e).Answer != nil {
		t.Error("it has its answer")
	}
}
