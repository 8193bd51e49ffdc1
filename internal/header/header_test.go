package header

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/penstock/penstock/internal/item"
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
		{"a key", &Maker{}, item.Item{URL: home, Key: "k"}, Content{}, true,
			"map[Content-Type:[a/b]]"},
		{"a digest", &Maker{NoOverwrite: true}, item.Item{URL: home}, Content{Digest: "d"}, true,
			"map[Content-Digest:[d] Content-Type:[a/b] If-None-Match:[*]]"},
	} {
		withheld := 0
		c.m.UserAgent, c.content.Type = "test", "a/b"
		c.m.Withheld = func(item.Item) { withheld++ }
		for range 2 {
			h, own := c.m.Of(c.it, c.content, false)
			got := h.Clone()
			got.Del("User-Agent")
			if fmt.Sprint(got) != c.want || own != c.own || h.Get("User-Agent") != "test" {
				t.Errorf("%s: %v, own %v; want %s", c.name, h, own, c.want)
			}
			if own {
				h.Set("Authorization", "of another") // which no other item must get
			}
		}
		if _, own := c.m.Of(c.it, c.content, true); !own {
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
