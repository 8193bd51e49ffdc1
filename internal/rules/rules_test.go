package rules

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func set(t *testing.T, rules ...string) *Set {
	t.Helper()
	var s Set
	for _, r := range rules {
		flag, text, _ := strings.Cut(r, " ")
		for effect, name := range effects {
			if name == flag {
				if err := s.Add(effect, text); err != nil {
					t.Fatalf("%s: %v", r, err)
				}
			}
		}
	}
	if len(s.rules) < len(rules) {
		t.Fatalf("%q: %d rules", rules, len(s.rules))
	}
	return &s
}

// answer makes an answer: a status, headers and a text, as they are written in HTTP.
func answer(text string) *http.Response {
	head, body, _ := strings.Cut(text, "\n\n")
	resp := &http.Response{Header: http.Header{}, ContentLength: -1,
		Body: io.NopCloser(strings.NewReader(body))}
	for i, line := range strings.Split(head, "\n") {
		if i == 0 {
			resp.StatusCode, _ = readStatus(strings.TrimSpace(line))
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		resp.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return resp
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		rules  []string
		answer string
		want   Effect
		rule   string
	}{
		{nil, "200\n\n{}", None, ""},
		{[]string{"accept 409"}, "409", Accept, "--accept 409"},
		{[]string{"accept 409"}, "200", None, ""},
		{[]string{"accept 4xx"}, "404", Accept, "--accept 4xx"},
		{[]string{"accept 200-204"}, "204", Accept, "--accept 200-204"},
		{[]string{"accept 200-204"}, "205", None, ""},
		{[]string{"accept 200, 409"}, "409", Accept, "--accept 200, 409"},
		{[]string{"reject any"}, "500", Reject, "--reject any"},
		{[]string{"accept 200:.success==true"}, `200` + "\n\n" + `{"success":true}`, Accept,
			"--accept 200:.success==true"},
		{[]string{"accept 200:.success==true"}, `200` + "\n\n" + `{"success":false}`, Reject,
			"--accept 200:.success==true"},
		{[]string{"accept 200:.success==true"}, "200\n\nno JSON", Reject,
			"--accept 200:.success==true"},
		{[]string{"accept 200:.success==true"}, `201` + "\n\n" + `{}`, None, ""},
		// The order decides, over all four.
		{[]string{"reject 200:.a", "accept 200"}, `200` + "\n\n" + `{"a":1}`, Reject,
			"--reject 200:.a"},
		{[]string{"reject 200:.a", "accept 200"}, `200` + "\n\n" + `{}`, Accept, "--accept 200"},
		{[]string{"accept 200", "reject 200:.a"}, `200` + "\n\n" + `{"a":1}`, Accept,
			"--accept 200"},
		{[]string{"accept 200:.a", "accept 200:.b"}, `200` + "\n\n" + `{"b":1}`, Accept,
			"--accept 200:.b"},
		{[]string{"accept 200:.a", "retry-on 200:.busy"}, `200` + "\n\n" + `{"busy":1}`, Retry,
			"--retry-on 200:.busy"},
		{[]string{"throttle-on 403:.slow"}, `403` + "\n\n" + `{"slow":true}`, Throttle,
			"--throttle-on 403:.slow"},
		{[]string{"throttle-on 403:.slow"}, `403` + "\n\n" + `{"slow":false}`, None, ""},
		// An expression that fails does not match.
		{[]string{"reject 200:.a.b"}, `200` + "\n\n" + `{"a":"text"}`, None, ""},
		{[]string{`reject 200:$header["x-result"]=="bad"`}, "200\nX-Result: bad\n\n{", Reject,
			`--reject 200:$header["x-result"]=="bad"`},
		{[]string{`reject 200:$text|test("ERROR")`}, "200\n\nERROR: no", Reject,
			`--reject 200:$text|test("ERROR")`},
		{[]string{"reject 2xx:$status==202"}, "202", Reject, "--reject 2xx:$status==202"},
	} {
		s := &Set{}
		if c.rules != nil {
			s = set(t, c.rules...)
		}
		got := s.Judge(answer(c.answer))
		if got.Effect != c.want || got.Rule != c.rule ||
			got.NoMatch != (c.want == Reject && strings.HasPrefix(c.rule, "--accept")) {
			t.Errorf("%q of %q: %+v", c.rules, c.answer, got)
		}
	}
}

// Answers as the vendors document them, in words of our own.
func TestDialects(t *testing.T) {
	google := func(reason string) string {
		return "403\nContent-Type: application/json; charset=UTF-8\n\n" + `{"error":{"code":403,
			"errors":[{"domain":"usageLimits","reason":"` + reason + `","message":"Too many."}],
			"message":"Too many."}}`
	}
	aws := func(status, code string) string {
		return status + "\nContent-Type: application/xml\n\n" + `<?xml version="1.0"?>
			<Error><Code>` + code + `</Code><Message>Please do less.</Message>
			<RequestId>4442587FB7D0A2F9</RequestId></Error>`
	}
	for _, c := range []struct {
		dialect, answer string
		want            Effect
	}{
		{"throttle-on google", google("rateLimitExceeded"), Throttle},
		{"throttle-on google", google("userRateLimitExceeded"), Throttle},
		{"throttle-on google", google("dailyLimitExceeded"), None},
		{"throttle-on google", google("insufficientFilePermissions"), None},
		{"throttle-on google", "403\n\n" + `{"error":{"code":403,"status":"PERMISSION_DENIED",
			"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",
			"reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com",
			"metadata":{"quota_limit":"defaultPerMinutePerProject"}}]}}`, Throttle},
		{"throttle-on google", "403\n\n<html>", None},
		{"throttle-on google", "200\n\n" + `{"error":{"errors":[{"reason":"rateLimitExceeded"}]}}`,
			None},

		{"throttle-on github", "403\nX-RateLimit-Remaining: 4711\n\n" +
			`{"message":"You have exceeded a secondary rate limit. Wait a little.",
			"documentation_url":"https://docs.github.com/rest"}`, Throttle},
		{"throttle-on github", "403\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1372700873\n\n" +
			`{"message":"API rate limit exceeded for 192.0.2.1."}`, Throttle},
		{"throttle-on github", "403\nRetry-After: 60\n\n{}", Throttle},
		{"throttle-on github", "403\nX-RateLimit-Remaining: 4711\n\n" +
			`{"message":"Resource not accessible by integration"}`, None},
		{"throttle-on github", "404\n\n" + `{"message":"secondary rate limit"}`, None},

		{"throttle-on aws", aws("503", "SlowDown"), Throttle},
		{"throttle-on aws", aws("400", "Throttling"), Throttle},
		{"throttle-on aws", aws("403", "AccessDenied"), None},
		{"throttle-on aws", "400\n\n" +
			`{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
			"message":"The level of configured provisioned throughput was exceeded."}`, Throttle},
		{"throttle-on aws", "400\nX-Amzn-ErrorType: ThrottlingException:http://internal/\n\n" +
			`{"message":"Rate exceeded"}`, Throttle},
		{"throttle-on aws", "400\n\n" + `{"__type":"com.amazon.coral#ThrottlingException"}`,
			Throttle},
		{"throttle-on aws", "400\n\n" + `{"__type":"ValidationException","message":"bad"}`, None},
		{"throttle-on aws", "400\n\n" + `{"code":42}`, None},
		{"throttle-on aws", "400\n\n" + strings.Repeat("x", 100_000), None},

		{"reject graphql", "200\n\n" + `{"data":null,"errors":[{"message":"no"}]}`, Reject},
		{"reject graphql", "200\n\n" + `{"data":{}}`, None},
		{"reject graphql", "200\n\n" + `{"data":{},"errors":[]}`, None},
		{"reject jsonrpc", "200\n\n" + `{"jsonrpc":"2.0","id":1,"error":{"code":-32600}}`, Reject},
		{"reject jsonrpc", "200\n\n" + `[{"id":1,"result":1},{"id":2,"error":{"code":1}}]`, Reject},
		{"reject jsonrpc", "200\n\n" + `{"jsonrpc":"2.0","id":1,"result":19}`, None},
		{"reject success", "200\n\n" + `{"success":false}`, Reject},
		{"reject success", "200\n\n" + `{"ok":false,"error":"invalid_auth"}`, Reject},
		{"reject success", "200\n\n" + `{"success":true}`, None},
		{"reject success", "200\n\nok", None},
	} {
		if got := set(t, c.dialect).Judge(answer(c.answer)); got.Effect != c.want ||
			got.Effect != None && got.Rule != "--"+c.dialect {
			t.Errorf("%s: %v of %s", c.dialect, got, c.answer)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"": "want 200, 2xx", "20": "want 200, 2xx", "2000": "want 200", "xx": "want 200",
		"200-": `"200-" is not a status`, "204-200": "is not a status", "200,": "want 200",
		"googel": "or a set of rules by its name: aws, github, google", "200:": "its test",
		"200:.a ==": `its test ".a ==": it is not jq: unexpected EOF`, "graphql": "for --reject",
		"200:range(9)": "range/1 cannot be used here", " : ": "want 200", "0xx": "want 200",
	} {
		err := new(Set).Add(Throttle, text)
		if err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}
func (unreadable) Close() error { return nil }

// A body is read only where a test needs it, and the next reader gets all of it.
func TestBody(t *testing.T) {
	for _, rules := range [][]string{
		{"accept 409:.a"}, {"reject 200", "accept 200:.a"}, {`accept 200:$header.a=="b"`},
		{"accept 2xx:$status==200", "accept 2xx:.a"},
	} {
		resp := answer("200")
		resp.Body = unreadable{t}
		set(t, rules...).Judge(resp)
	}
	const text = `{"a":1}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	broken := errors.New("broken off")
	for _, c := range []struct {
		name string
		body io.Reader
		want Effect
		err  string
	}{
		{"whole", strings.NewReader(text), Reject, ""},
		{"in pieces", iotest.OneByteReader(strings.NewReader(text)), Reject, ""},
		{"compressed", bytes.NewReader(packed.Bytes()), Reject, ""},
		{"compressed, and cut", bytes.NewReader(packed.Bytes()[:20]), Unread, "unexpected EOF"},
		{"broken off", io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), Unread,
			"broken off"},
		{"too long", strings.NewReader(`{"a":"` + strings.Repeat("x", MaxBody) + `"}`), Unread,
			"longer than 1 MiB"},
		{"too many values", strings.NewReader("[" + strings.Repeat("1,", 100_000) + "1]"), Unread,
			"too large"},
		{"empty", strings.NewReader(""), None, ""},
		{"with a byte order mark", strings.NewReader("\ufeff" + text), Reject, ""},
	} {
		var all bytes.Buffer
		resp := answer("200")
		resp.Body = io.NopCloser(io.TeeReader(c.body, &all))
		got := set(t, "reject 200:.a").Judge(resp)
		if got.Effect != c.want || (got.Err == nil) != (c.err == "") ||
			got.Err != nil && !strings.Contains(got.Err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.name, got.Effect, got.Err)
		}
		again, err := io.ReadAll(resp.Body)
		if !bytes.Equal(again, all.Bytes()) || (err != nil) != (c.name == "broken off") {
			t.Errorf("%s: then %d bytes, %v", c.name, len(again), err)
		}
	}
}

// A body that does not come is waited for no longer than MaxRead.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		resp := answer("200")
		resp.Body = r
		if got := set(t, "reject 200:.a").Judge(resp); got.Effect != Unread ||
			!strings.Contains(got.Err.Error(), "longer than 30s") {
			t.Errorf("%v, %v", got.Effect, got.Err)
		}
	})
}

func FuzzAdd(f *testing.F) {
	f.Add("200:.a", `{"a":1}`)
	f.Add("2xx,409-410:$text", "")
	f.Add("aws", "{")
	f.Fuzz(func(t *testing.T, text, body string) {
		var s Set
		if err := s.Add(Reject, text); err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		s.Judge(answer("200\n\n" + body))
	})
}

// BenchmarkJudge is what a test costs for an answer of 2 KiB, and an answer that no rule is about.
func BenchmarkJudge(b *testing.B) {
	text := `{"success":true,"id":12345,"tags":["a","b"],"image":{"width":1,"height":2},"text":"` +
		strings.Repeat("lorem ipsum ", 160) + `"}`
	for name, rule := range map[string]string{"test": "200:.success==true", "other": "409:.a"} {
		b.Run(name, func(b *testing.B) {
			var s Set
			_ = s.Add(Accept, rule)
			resp := answer("200")
			b.ReportAllocs()
			for b.Loop() {
				resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)),
					int64(len(text))
				s.Judge(resp)
			}
		})
	}
}
