package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

// A local is the file of the example, in place of which others are sent.
type local struct {
	path string // as the example names it; "" if there is none
	name string
	stem string // "" if it is a word that says nothing of the file, such as file or image
	made bool   // the example has its content, and does not say where it is

	forms []string // of its name in texts; none if it may be another word
}

// generic are the stems of examples that also are words for kinds and fields.
var generic = strings.Fields("archive attachment audio body content data doc document example file " +
	"image img input item media object package photo picture sample test upload video")

func newLocal(name string) local {
	f := local{path: name}
	f.name = base(name)
	f.stem = strings.TrimSuffix(f.name, path.Ext(f.name))
	if strings.Contains(f.stem, curl.Mark) || slices.Contains(generic, strings.ToLower(f.stem)) {
		f.stem = ""
	}
	if len(f.name) >= 3 && strings.Contains(f.name, ".") {
		f.forms = []string{f.name, url.PathEscape(f.name), url.QueryEscape(f.name)}
	}
	return f
}

// base is path.Base, but what is between Marks is one piece.
func base(name string) string {
	marked := false
	for i := len(name) - 1; i >= 0; i-- {
		switch {
		case name[i] == curl.Mark[0]:
			marked = !marked
		case name[i] == '/' && !marked:
			return name[i+1:]
		}
	}
	return name
}

// beside reports whether a file lies beside this one, and is named after it.
func (f *local) beside(name string) bool {
	end, found := strings.CutPrefix(base(name), f.stem)
	return found && f.stem != "" && end != "" && strings.ContainsAny(end[:1], "._-") &&
		strings.TrimSuffix(name, base(name)) == strings.TrimSuffix(f.path, f.name)
}

func (f *local) shown() string { return word(pathWord(f.path)) }

// plainName is the path for a text in JSON.
func (f *local) plainName() string {
	if f.made || strings.ContainsAny(f.path, "\"\\"+curl.Mark) {
		return "a.jpg"
	}
	return f.path
}

// directory is where more such files may be.
func (f *local) directory() string {
	if dir := strings.TrimSuffix(f.path, f.name); simpleDir.MatchString(dir) {
		return strings.TrimPrefix(dir, "./")
	}
	return "data/"
}

var simpleDir = lazy.MustCompile(`^(\./)?[A-Za-z0-9_/.-]*[A-Za-z0-9_]/$`)

func (f *local) extension() string {
	if ext := path.Ext(f.name); simpleExt.MatchString(ext) {
		return ext
	}
	return ""
}

var simpleExt = lazy.MustCompile(`^\.[A-Za-z0-9]{1,8}$`)

// metadata are the extensions of files that usually go along with others.
var metadata = []string{".json", ".xml", ".txt", ".yaml", ".yml", ".csv"}

// findFile finds the file that varies.
func (t *translation) findFile() error {
	c := t.c
	if c.Upload != "" {
		t.file = newLocal(c.Upload)
		return nil
	}
	for _, taken := range []func(p curl.Part) bool{
		func(p curl.Part) bool {
			return p.Kind == '@' && !slices.Contains(metadata, strings.ToLower(path.Ext(p.Value)))
		},
		func(p curl.Part) bool { return p.Kind == '@' },
		func(p curl.Part) bool { return p.Kind == '<' },
	} {
		if i := slices.IndexFunc(c.Form, taken); i >= 0 {
			t.file = newLocal(c.Form[i].Value)
			return nil
		}
	}
	for i, d := range c.Data {
		if d.File == "" && len(c.Data) == 1 {
			if variable, file := substituted(d.Text); variable == "content" {
				c.Data[i].Text, c.Data[i].File, d.File = "", file, file
			}
		}
		if d.File != "" {
			t.file = newLocal(d.File)
			return nil
		}
	}
	texts := t.bodyTexts()
	for _, text := range append(texts, t.url) {
		for i, piece := range strings.Split(text, curl.Mark) {
			if i%2 == 0 {
				continue
			}
			if _, file := meaning(piece); file != "" {
				t.file = newLocal(file)
				return nil
			}
		}
	}
	if t.hasContent() {
		t.file = newLocal("files/")
		if name := t.namedFile(); name != "" {
			t.file = newLocal(name)
		}
		t.file.made = t.file.path == "files/"
	}
	return nil
}

// bodyTexts are the texts of the body.
func (t *translation) bodyTexts() (texts []string) {
	for _, d := range t.c.Data {
		texts = append(texts, d.Text)
	}
	for _, p := range t.c.Form {
		if p.Kind == 0 {
			texts = append(texts, p.Value)
		}
	}
	return texts
}

// values calls f for each value of the body that has a name, until f returns true.
func (t *translation) values(f func(name, value string) bool) bool {
	for _, p := range t.c.Form {
		if p.Kind == 0 && f(p.Name, p.Value) {
			return true
		}
	}
	text := t.text()
	if isJSON(text) {
		found := false
		eachJSON(text, func(key, value string, quoted bool) string {
			if quoted && !found {
				found = f(key, value)
			}
			return value
		})
		return found
	}
	for pair := range strings.SplitSeq(text, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok && f(name, decoded(value)) {
			return true
		}
	}
	return false
}

func decoded(value string) string {
	if plain, err := url.QueryUnescape(value); err == nil {
		return plain
	}
	return value
}

// hasContent reports whether a value of the body stands for the content of a file.
func (t *translation) hasContent() bool {
	return t.values(func(name, value string) bool { return contentAt(name, value) >= 0 })
}

var fileName = lazy.MustCompile(`^[\pL\pN_][\pL\pN_ .@()-]*\.[A-Za-z][A-Za-z0-9]{1,4}$`)

// namedFile is the name of a file that the example sends as a text.
func (t *translation) namedFile() (found string) {
	t.values(func(name, value string) bool {
		if strings.Contains(strings.ToLower(name), "name") && fileName.MatchString(value) {
			found = value
		}
		return found != ""
	})
	if found != "" {
		return found
	}
	where, _, _ := strings.Cut(t.url, "?")
	_, where, _ = strings.Cut(where, "://")
	if strings.Contains(where, "/") && fileName.MatchString(base(where)) {
		return base(where)
	}
	return ""
}

// text is the text of the body.
func (t *translation) text() string {
	var b strings.Builder
	for i, d := range t.c.Data {
		if i > 0 && !t.c.JSON {
			b.WriteByte('&')
		}
		b.WriteString(d.Text)
	}
	return b.String()
}
