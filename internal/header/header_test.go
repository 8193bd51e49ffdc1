package header

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

func TestOf(t *testing.T) {
	const home, other = "http://home", "http://other"
	all := http.Header{"Authorization": {"secret"}}
	mine := http.Header{"X-Mine": {"1"}, "Content-Type": {"mine/one"}}
	for _, c := range []struct {
		name    string
		m       *Maker
		it      item.Item
		content Content
		own     bool
		want    string
	}{
		{"plain", &Maker{}, item.Item{URL: home}, Content{}, false, "map[Content-Type:[a/b]]"},
		{"given for all", &Maker{All: all}, item.Item{URL: other}, Content{}, false,
			"map[Authorization:[secret] Content-Type:[a/b]]"},
		{"at home", &Maker{All: all, Home: home}, item.Item{URL: home + "/x"}, Content{}, false,
			"map[Authorization:[secret] Content-Type:[a/b]]"},
		{"elsewhere", &Maker{All: all, Home: home}, item.Item{URL: other + "/x"}, Content{}, true,
			"map[Content-Type:[a/b]]"},
		{"a port that looks like home", &Maker{All: all, Home: home},
			item.Item{URL: home + ":81/x"}, Content{}, true, "map[Content-Type:[a/b]]"},
		{"its own, elsewhere", &Maker{All: all, Home: home},
			item.Item{URL: other + "/x", Header: mine}, Content{}, true,
			"map[Content-Type:[mine/one] X-Mine:[1]]"},
		{"its own, in a form", &Maker{}, item.Item{URL: home, Header: mine}, Content{Form: true},
			true, "map[Content-Type:[a/b] X-Mine:[1]]"},
		{"a digest", &Maker{NoOverwrite: true}, item.Item{URL: home}, Content{Digest: "d"}, true,
			"map[Content-Digest:[d] Content-Type:[a/b] If-None-Match:[*]]"},
	} {
		withheld := 0
		c.m.UserAgent, c.content.Type = "test", "a/b"
		c.m.Withheld = func(item.Item) { withheld++ }
		for range 2 {
			h, own, err := c.m.Of(c.it, c.content, c.it.Value, false)
			test.OK(t, err)
			got := h.Clone()
			got.Del("User-Agent")
			if fmt.Sprint(got) != c.want || own != c.own || h.Get("User-Agent") != "test" {
				t.Errorf("%s: %v, own %v; want %s", c.name, h, own, c.want)
			}
			if own {
				h.Set("Authorization", "of another") // which no other item must get
			}
		}
		if _, own, _ := c.m.Of(c.it, c.content, c.it.Value, true); !own {
			t.Errorf("%s: not its own, as asked", c.name)
		}
		asked := c.m.ToAsk(c.it)
		foreign := c.m.Home != "" && c.own
		if has := asked.Get("Authorization") != ""; has != (c.m.All != nil && !foreign) {
			t.Errorf("%s: asked with %v", c.name, asked)
		}
		if withheld > 1 || withheld == 1 != foreign {
			t.Errorf("%s: said %d times", c.name, withheld)
		}
	}
}

// Headers with variables are made for each item. They go where those without go, and only what
// depends on the content is filled in anew.
func TestFilled(t *testing.T) {
	field := func(name, value string) Field {
		v, err := template.Parse(value, template.PlaceHeader)
		test.OK(t, err)
		return Field{name, v}
	}
	m := &Maker{Home: "http://mine", Withheld: func(item.Item) {},
		All: http.Header{"X-All": {"1"}, "X-Name": {"{name}", "2"}},
		Filled: []Field{field("X-Name", "{name}"), field("X-Name", "2"),
			field("X-Sum", "a{sha256}")}}
	sum := ""
	it := item.Item{Path: "d/a", URL: "http://mine/x"}
	vars := func(name string) (template.Value, bool) {
		if name == "sha256" && sum != "" {
			return template.Value{Text: sum}, true
		}
		return it.Value(name)
	}
	of := func() http.Header {
		t.Helper()
		h, own, err := m.Of(it, Content{Type: "a/b"}, vars, false)
		test.OK(t, err)
		if !own && it.Header == nil && it.URL == "http://mine/x" {
			t.Error("shared with other items")
		}
		delete(h, "User-Agent")
		return h
	}
	check := func(h http.Header, want string) {
		t.Helper()
		if got := fmt.Sprint(h); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	h := of()
	check(h, "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2]]") // it is not known
	sum = "5"
	filled, err := m.Refill(h, false, it, vars)
	test.OK(t, err)
	check(filled, "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2] X-Sum:[a5]]")
	check(h, "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2]]")
	check(of(), "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2] X-Sum:[a5]]")
	delete(filled, "X-Name")
	filled, err = m.Refill(filled, true, it, vars)
	test.OK(t, err)
	check(filled, "map[Content-Type:[a/b] X-All:[1] X-Sum:[a5]]")
	asked := m.ToAsk(it)
	delete(asked, "User-Agent")
	check(asked, "map[X-All:[1] X-Name:[a 2]]")

	it.Header = http.Header{"X-Sum": {"own"}}
	check(of(), "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2] X-Sum:[own]]")
	filled, err = m.Refill(of(), false, it, vars)
	test.OK(t, err)
	check(filled, "map[Content-Type:[a/b] X-All:[1] X-Name:[a 2] X-Sum:[own]]")

	it.Header, it.URL = nil, "http://other/x"
	check(of(), "map[Content-Type:[a/b]]")
	filled, err = m.Refill(of(), false, it, vars)
	test.OK(t, err)
	check(filled, "map[Content-Type:[a/b]]")

	it.Path, it.URL = "a\nb", "http://mine/x"
	if _, _, err := m.Of(it, Content{}, vars, false); err == nil ||
		err.Error() != "the header X-Name: {name}: a newline or another control character cannot "+
			"be sent in a header" {
		t.Errorf("%v", err)
	}
}
