package human_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/test"
)

// What a terminal would obey is escaped wherever JSON is written, and is read back as it was.
func TestJSONIsSafeForTerminals(t *testing.T) {
	const bad = "a\x7f\u0080\u009b31m\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" +
		"\u200e\u200f\u061c\u2028\ufeff\U000e0041z"
	const good = "é 日本 😀 <&> \u00a0"
	is := func(name, text string) {
		t.Helper()
		raw := func(r rune) bool {
			return r != '\n' && !strings.ContainsRune(good, r) && (r < ' ' || r > '~')
		}
		if i := strings.IndexFunc(text, raw); i >= 0 {
			t.Errorf("%s: %q is shown raw", name, text[i:min(len(text), i+4)])
		}
		if !strings.Contains(text, good) || !strings.Contains(text, `\u009b31m\u202a`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	var b bytes.Buffer
	test.OK(t, human.NewEncoder(&b).Encode(bad+good))
	is("encoder", b.String())
	var back string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != bad+good {
		t.Errorf("%q is read back, %v", back, err)
	}

	b.Reset()
	r := results.NewWriter(&b)
	_ = r.Write(results.Result{Path: bad + good})
	_ = r.Close(t.Context())
	is("results", b.String())

	b.Reset()
	test.OK(t, (report.Summary{To: bad + good}).EncodeJSON(&b))
	is("report", b.String())

	b.Reset()
	p := progress.New("json", &b)
	p.Log(bad + good)
	p.Log(`{"msg":"` + bad[2:] + good + `"}`)
	is("progress", b.String())
}
