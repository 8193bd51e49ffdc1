package rules

import (
	"encoding/json"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

func first(t *testing.T, text, body string) (any, error) {
	t.Helper()
	q, err := ParseQuery(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q.First(&Answer{Status: 200, Header: http.Header{"X-Kind": {"a", "b"}},
		Body: []byte(body)})
}

// What is allowed means what it does in jq.
func TestAsInJQ(t *testing.T) {
	const body = `{"success":true,"n":12,"f":1.5,"id":12345678901234567890,"s":"a,b",
		"null":null,
		"error":{"errors":[{"reason":"rateLimitExceeded","n":2},{"reason":"other","n":1}]},
		"list":[3,1,2,1],"words":["x","y"],"nested":[[1],[2,[3]]],"text":"{\"a\":[1]}","z":"é<&>"}`
	var input any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&input); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		".", ".success==true", ".success", ".missing", ".error.errors[0].reason",
		`.error.errors[0].reason=="rateLimitExceeded"`, `any(.error.errors[]; .reason=="other")`,
		".error.errors|map(.reason)", `[.error.errors[]|select(.n>1)|.reason]`, ".list[1:3]",
		".list[-1]", ".list|sort", ".list|unique", ".list|add", ".words|add", ".nested|add",
		".nested|flatten", ".nested|flatten(1)", ".error.errors|add", ".error.errors|sort_by(.n)",
		".error.errors|min_by(.n)", ".error.errors|group_by(.n)|length", "keys", "length",
		`.words|join("-")`, ".list|join(\",\")", `.s|split(",")`, `.s/","`, ".n*2+1", ".n-1.5",
		".n/5", ".n/4", ".n%5", ".id+1", ".id", "-.n", "-(.n)", ".n*100000000000000000000",
		".text|fromjson|.a[0]", ".list|tojson", ".n|tostring", `"\(.n)-\(.s)"`, `"a\("b\(.n)")"`,
		`.s|test("^a")`, `.s|test("A";"i")`, `.s|capture("(?<first>[a-z]),(?<second>.)")`,
		".z|@uri",
		".z|@base64", "@json", `.list|@csv`, `.words|@sh`, ".a.b.c", ".s.x?", ".s.x? // 5",
		"try error(\"no\") catch .", "if .success then 1 elif .n then 2 else 3 end", ".. | numbers",
		"[..|.reason?|values]", ".list|contains([1])", `.s|contains("b")`, `contains({n:12})`,
		`contains({error:{errors:[{n:1}]}})`, "{n,a:.s,(.s):1}", "{n} + {m:2}", "[.n,.f]+[1]",
		"null+1", ".error|to_entries|length", "with_entries(select(.key==\"n\"))",
		". as {n:$n,s:$s} | [$n,$s]", ".list as [$a,$b] | $a+$b", "first(.list[])", ".list|last",
		"[limit(2;.list[])]", ".n|IN(1,12)", "has(\"n\")", `"n"|in({n:1})`, ".list|min",
		"[.list[]|.+1]", "[.words[]|ascii_upcase]", ".success and (.n>3)", "not", ".list|reverse",
		`.s|startswith("a")`, `.s|ltrimstr("a")`, `isempty(.list[])`, "empty", ".x // .n",
		`.words[]|select(.=="y")`, ".list|length*2", "[.list[]*2]|add", ".[\"s\"]", `.["n","s"]`,
		`.list[.list[1]]`, "1 as $x|[$x,$x+1]", ".f|floor", "[.n,.f]|max", "all(.list[];.>0)",
		".list|any(.>2)", `"x" * 0`, ".n as $n|.list|map(.+$n)", `@html "<b>"`, "try (1/0) catch 2",
	} {
		got, err := first(t, text, body)
		parsed, perr := gojq.Parse(text)
		if perr != nil {
			t.Fatal(perr)
		}
		want, ok := parsed.Run(input).Next()
		if !ok {
			want = nil
		}
		if text == `"x" * 0` { // texts cannot be multiplied
			want = error(nil)
			if err == nil {
				t.Errorf("%s: %v", text, got)
			}
			continue
		}
		if e, failed := want.(error); failed {
			if err == nil {
				t.Errorf("%s: %v, want %v", text, got, e)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v, want %v", text, err, want)
			continue
		}
		if !alike(got, want) {
			t.Errorf("%s: %v (%T), want %v (%T)", text, got, got, want, want)
		}
	}
}

func alike(a, b any) bool {
	x, _ := gojq.Marshal(a)
	y, _ := gojq.Marshal(b)
	return string(x) == string(y)
}

func TestVariables(t *testing.T) {
	for text, want := range map[string]any{
		"$status": 200, `$header["x-kind"]`: "a", "$text": `{"a":1}`, "[$status,.a]": []any{200, 1},
		`{$status}`: map[string]any{"status": 200}, `$text|test("a")`: true,
		`"\($status)"`: "200",
	} {
		got, err := first(t, text, `{"a":1}`)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := first(t, ". == null", "no JSON"); got != true {
		t.Errorf("not JSON: %v, %v", got, err)
	}
	if got, err := first(t, ". == null", `{} {}`); got != true {
		t.Errorf("two values: %v, %v", got, err)
	}
	if got, err := first(t, ".id", `{"id":98765432109876543210}`); got != json.Number(
		"98765432109876543210") {
		t.Errorf("a long number: %v, %v", got, err)
	}
}

// The body is decoded only where an expression looks at it.
func TestLooksAtBody(t *testing.T) {
	for text, want := range map[string]bool{
		"$status==200": false, `$header["x"]=="y"`: false, `$text|test("a")`: false, "true": false,
		".a": true, ".": true, "..": true, "length": true, "{a}": true, "@json": true,
		"$status==200 and .a": true, "$header|.x": false, "$status as $s|.a": true,
		`$text|split("a")|map(.)`: false, "[.]": true, `"\(.)"`: true, `"\($status)"`: false,
		"-.a": true, "$header.a": false, "if $status>1 then .a else 1 end": true,
		"$header[.a]": true, ".[]?": true,
	} {
		q, err := ParseQuery(text)
		if err != nil || q.json != want {
			t.Errorf("%s: %v, %v", text, q, err)
		}
	}
}

// Of an object only the members are decoded that an expression names; another may need others.
func TestMembers(t *testing.T) {
	for text, want := range map[string]string{
		".a": "a", ".a.b": "a", ".a==1 and .b": "a b", ".a|.b": "a", "(.a,.b)|.c": "a b",
		"any(.a[]; .b)": "a b", ".a as $x|.b": "a b", "{a,x:.b}": "a b",
		"if .a then .b else .c end": "a b c",
		".a[.b]":                    "a b",
		`"\(.a)"`:                   "a", ".a // .b": "a b", "-.a": "a", "first(.a[])": "a",
		".": "all", "..": "all", `.["a"]`: "all", ".[0]": "all", "length": "all", ".[]": "all",
		"select(.a)": "all", "@json": "all", ". as {a:$x}|$x": "all", "keys": "all",
		`.a,keys`:        "all",
		"try .a catch .": "all", "$status|.x": "",
	} {
		q, err := ParseQuery(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := strings.Join(q.members, " ")
		if q.members == nil {
			got = "all"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	a := &Answer{Body: []byte(`{"a":1,"b":{"c":2},"d":3,"a":4}`)}
	for _, c := range []struct {
		text, want string
	}{
		{".a", "4"}, {".b.c", "2"}, {".d", "3"}, {".", `{"a":4,"b":{"c":2},"d":3}`}, {".a", "4"},
	} {
		q, err := ParseQuery(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.First(a)
		if text, _ := gojq.Marshal(got); string(text) != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.text, text, err, c.want)
		}
	}
	// What is passed over must be JSON, too.
	q, _ := ParseQuery(".a")
	if got, err := q.First(&Answer{Body: []byte(`{"a":1,"b":[1,}`)}); got != nil || err != nil {
		t.Errorf("no JSON: %v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"": "it is empty", " ": "it is empty", ".a ==": "it is not jq: unexpected EOF",
		"def f: f; f": "def cannot be used here", "reduce .[] as $x (0;.+$x)": "reduce",
		"range(1e9)": "range/1 cannot", "[range(0;1e9)]": "range/2 cannot",
		"repeat(.)": "repeat/1", "recurse(.)": "recurse/1", "until(false;.)": "until/2",
		"input": "input/0 cannot be used here", "env": "env/0 cannot", "$ENV": "$ENV cannot",
		"$ENV.PATH": "$ENV cannot", "inputs": "inputs/0", "debug": "debug/0", "halt": "halt/0",
		".a=1": "= cannot", ".a|=1": "|= cannot", ".a+=1": "+= cannot", "path(..)": "path/1",
		"paths": "paths/0", "setpath([1e9];1)": "setpath/2", "combinations": "combinations/0",
		"_sum(1;2)": "_sum/2", "_add(1;2)": "_add/2", "$nope": "variable not defined: $nope",
		"nope": "nope/0 cannot", "label $x|1": "label", `import "a" as b; 1`: "import",
		"include \"a\"; 1": "include", ".a|test(.b)": "test needs its regular expression as a text",
		`test("(")`: "missing closing )", `test("a";"x")`: "no flag 'x'", `{"\(.a)":1}`: "as a key",
		`."a\(.b)"`: "cannot be used", `@sh "\(.a)"`: "cannot be used", "@nope": "@nope cannot",
		"explode": "explode/0", "implode": "implode/0", "ascii": "ascii/0",
		"getpath([1])": "getpath",
		strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100): "nested too deeply",
		strings.Repeat(".[]|", 17) + ".":                          "iterates more than 16 times",
		strings.Repeat("a", maxText+1):                            "longer than 4096 bytes",
		`strftime("%Y")`:                                          "strftime/1",
		"$__loc__":                                                "$__loc__",
		"splits(\"a\")":                                           "splits/1",
		"limit(1;range(9))":                                       "range/1",
		"modulemeta":                                              "modulemeta/0",
		"builtins":                                                "builtins/0",
		"now|localtime":                                           "localtime/0",
	} {
		q, err := ParseQuery(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%.50s: more than one line: %v", text, err)
		}
		_ = q
	}
}

// What is too large is not for the expression to pass over: nobody knows then what it says.
func TestTooLarge(t *testing.T) {
	body := `"` + strings.Repeat("a", MaxBody-2) + `"`
	for _, text := range []string{"[.,.,.]", "[.,.,.]?", "try [.,.,.] catch 1", "[.,.,.]//1",
		"any([.,.,.][]?;true)", ".+.+.|not", "(.+.+.)?//true", `(.|test("a"))?`,
		".[:9]|.+.|tostring",
		"[.]|.+.+."} {
		_, err := first(t, text, body)
		if want := text != ".[:9]|.+.|tostring"; Unfinished(err) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for body, large := range map[string]bool{strings.Repeat("7", MaxBody): true,
		"-" + strings.Repeat("7", MaxBody-3) + "e9": true, strings.Repeat("7", 100): false,
		strings.Repeat("x", MaxBody): false} {
		if _, err := first(t, "$text|tonumber?", body); Unfinished(err) != large {
			t.Errorf("%.20s: %v", body, err)
		}
	}
}

// hostile are expressions that would take long or much, and bodies that make them.
func hostile() map[string]string {
	zeros := "[0" + strings.Repeat(",0", 60_000) + "]"
	long := `"` + strings.Repeat("a", MaxBody-2) + `"`
	words := `["` + strings.Repeat(`a","`, 40_000) + `"]`
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	wide := "[0" + strings.Repeat(",0", MaxBody/2-10) + "]"
	inFifteen := strings.Repeat("[", 15) + zeros + strings.Repeat("]", 15)
	nested := strings.Repeat("map(", 15) + "." + strings.Repeat(")", 15)
	doubled := strings.Repeat("[.,.]|", 45)
	return map[string]string{
		strings.Repeat(".+.|", 45) + "length":           long,
		strings.Repeat(".+.|", 45) + ".":                zeros,
		strings.Repeat(".*.|", 45) + ".":                "123456789",
		strings.Repeat(".*.|", 10) + ".":                strings.Repeat("9", MaxBody),
		doubled + "tojson":                              "1",
		doubled + ".==.":                                "1",
		strings.Repeat("{a:.,b:.}|", 45) + "tojson":     "1",
		strings.Repeat(`"\(.)\(.)"|`, 45) + "length":    long,
		strings.Repeat("tojson|", 45) + "length":        long,
		strings.Repeat("@uri|", 45) + "length":          long,
		".[] as $a|.[] as $b|.[] as $c|.[] as $d|empty": zeros,
		strings.Repeat("..|", 15) + "empty":             zeros,
		"[.[]|.]|map(.)|map(.)|map(.)|length":           zeros,
		". as $x|map($x)|tojson":                        zeros,
		". as $x|map($x)|unique":                        zeros,
		". as $x|sort_by($x)":                           zeros,
		". as $x|group_by($x)|length":                   zeros,
		". as $x|min_by($x)":                            zeros,
		". as $x|[.[]|$x]|add":                          zeros,
		". as $x|any(.[];[$x,.]==[$x,1])":               zeros,
		"contains(map(.+1))":                            zeros,
		"contains([1])":                                 zeros,
		". as $x|.[$x]":                                 zeros,
		".[.]":                                          zeros,
		"map(tostring)|join($text)":                     zeros,
		"split(\"\")":                                   long,
		"./\"\"":                                        long,
		"fromjson":                                      `"` + wide + `"`,
		"[limit(1000000000;..)]":                        zeros,
		"test(\"(a*)*b\")":                              long,
		"test(\"(a{1,30}){1,30}b\")":                    long[:60000] + `"`,
		"unique":                                        words,
		"[.[]|{a:.}]|add":                               words,
		"to_entries|from_entries|length":                words,
		"with_entries(.)":                               words,
		"..":                                            strings.Repeat("[", 400_000),
		"[..]|length":                                   deep,
		"tojson":                                        deep,
		"[..|..]|length":                                deep,
		"length":                                        wide,
		"tonumber":                                      strings.ReplaceAll(long, "a", "7"),
		nested:                                          inFifteen,
	}
}

// [rules bounded] Whatever an expression and an answer are, they take little time and memory.
func TestBounded(t *testing.T) {
	const mostMemory = 64 << 20
	for text, body := range hostile() {
		q, err := ParseQuery(text)
		if err != nil {
			t.Errorf("%.60s: %v", text, err)
			continue
		}
		runtime.GC()
		var before, m runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan struct{})
		peak := make(chan uint64)
		go func() {
			var most uint64
			for {
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
				select {
				case <-done:
					peak <- most
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		}()
		began := time.Now()
		v, err := q.First(&Answer{Status: 200, Body: []byte(body)})
		took := time.Since(began)
		close(done)
		used := int64(<-peak) - int64(before.HeapInuse)
		t.Logf("%-50.50s %6d ms %6d KiB  %T %v", text, took.Milliseconds(), used>>10, v, err)
		if used > mostMemory {
			t.Errorf("%.60s: %d MiB", text, used>>20)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(".a==1", `{"a":1}`)
	f.Add(`[.[]|select(.x|test("a"))]|add`, `[{"x":"a"}]`)
	f.Add(`"\(.a)"+@json`, `{"a":1}`)
	f.Add("any(.a[]; .b) or (.c|.d)==.e", `{"a":[{"b":1}],"b":2,"c":{"d":3},"e":3}`)
	f.Add(". as {a:$x}|{b,$x}|.b", `{"a":1,"b":[2]}`)
	for text := range hostile() {
		f.Add(text, "[0,1]")
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		q, err := ParseQuery(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		got, err := q.First(&Answer{Status: 200, Body: []byte(body)})
		whole := &Answer{Status: 200, Body: []byte(body)}
		_, _ = whole.json(nil)
		want, wantErr := q.First(whole)
		if Unfinished(err) || Unfinished(wantErr) || strings.Contains(text, "now") {
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && !alike(got, want) {
			t.Errorf("%q of %q: %v, %v; of all of it %v, %v", text, body, got, err, want, wantErr)
		}
	})
}
