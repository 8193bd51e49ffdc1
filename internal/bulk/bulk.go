// Package bulk turns the example of an API's documentation, a curl command for one file or record,
// into a command of penstock for many.
package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

// Script returns the lines of a POSIX shell that do, run as they are, what the curl command does,
// and that can be given more files or records. They write secrets to files that only their owner
// can read. What the command does not keep is named in comments.
func Script(c *curl.Command) (string, error) {
	t := &translation{c: c, prefix: "partner"}
	if len(c.Form) == 0 && len(c.Data) == 0 && c.Upload == "" {
		return "", fmt.Errorf("this is a %s without a body: "+
			"penstock sends files and records, and asks for nothing", c.Method)
	}
	if c.Method == "GET" || c.Method == "HEAD" {
		return "", fmt.Errorf("this is a %s with a body, a question to the server: "+
			"penstock sends files and records", c.Method)
	}
	t.url = c.URLs[0]
	for _, more := range c.URLs[1:] {
		t.note("Not kept: the URL %s. Run the command once for each URL.", hideURL(more))
	}
	if err := t.translate(); err != nil {
		return "", err
	}
	return t.print(), nil
}

// A translation is a curl command on its way to a script.
type translation struct {
	c      *curl.Command
	prefix string // of the names of files that the script writes
	url    string
	file   local
	sums   []sum // of the file
	summed bool  // they are known

	flags       []setting
	environment []setting // variables instead of flags, where the value has a secret
	written     []written
	record      string // the line of a manifest
	method      string // that penstock uses by itself
	contentType string // that the example sends; "" if none

	secretBody bool // it needs a file of its own
	varies     int  // how many texts have been varied
	constants  int  // how many values are the same for each file
	fillIns    []string
	answers    []string // options about what curl does with the answer
	notes      []string
}

// A setting is a flag of penstock with its value, if it takes one, or a variable of the
// environment.
type setting struct{ name, value string }

// A written is a file that the script writes for its owner's eyes.
type written struct {
	name  string
	lines []string
	text  bool // the one line is written without a line break behind it
}

func (t *translation) add(name, value string) { t.flags = append(t.flags, setting{name, value}) }

// note adds a comment. It is one line whatever is quoted in it.
func (t *translation) note(format string, args ...any) {
	t.notes = append(t.notes, oneLine(fmt.Sprintf(format, args...)))
}

func (t *translation) translate() error {
	c := t.c
	if err := t.checkData(); err != nil {
		return err
	}
	t.placeholders()
	t.nameFiles()
	if err := t.findFile(); err != nil {
		return err
	}
	t.readHeaders()
	t.readURL()
	t.credentials()
	t.headers()
	switch {
	case len(c.Form) > 0:
		t.form()
	case t.wholeFile():
		t.whole()
	default:
		t.body()
	}
	if c.Method != t.method {
		t.flags = slices.Insert(t.flags, 0, setting{"-X", c.Method})
	}
	for _, o := range c.Others {
		t.option(o)
	}
	t.about()
	return nil
}

// checkData refuses what no template can say.
func (t *translation) checkData() error {
	for _, d := range t.c.Data {
		switch {
		case d.Encoded:
			return fmt.Errorf("%s sends the content of a file percent-encoded, which penstock "+
				"cannot: is there a field for base64, or a form?", d.Option)
		case d.File != "" && len(t.c.Data) > 1:
			return errors.New("several -d with a file among them: " +
				"penstock sends a file as the whole body")
		}
	}
	return nil
}

var host = lazy.MustCompile(`^(?i:https?://)?(?:[^/?#]*@)?([A-Za-z0-9.-]+)`)

// nameFiles names the files that the script writes by the server.
func (t *translation) nameFiles() {
	if m := host.FindStringSubmatch(t.url); m != nil {
		t.prefix = strings.Trim(m[1], ".-")
	}
}

// owned adds a file for its owner's eyes, and returns its name.
func (t *translation) owned(kind string, lines ...string) string {
	name := t.prefix + "." + kind
	taken := func(w written) bool { return w.name == name }
	for n := 2; slices.ContainsFunc(t.written, taken); n++ {
		name = fmt.Sprintf("%s.%s%d", t.prefix, kind, n)
	}
	t.written = append(t.written, written{name: name, lines: lines})
	return name
}

// ownedText is owned for a text that is written as it is.
func (t *translation) ownedText(kind, text string) string {
	name := t.owned(kind, text)
	t.written[len(t.written)-1].text = true
	return name
}

// wholeFile reports whether the body is a file as it is.
func (t *translation) wholeFile() bool {
	return t.c.Upload != "" || len(t.c.Data) == 1 && t.c.Data[0].File != ""
}

// whole sends the file as the body.
func (t *translation) whole() {
	if t.method == "" {
		t.method = "POST"
	}
	switch {
	case t.contentType != "":
		t.add("--content-type", t.contentType)
	case t.c.Upload != "":
		t.note("curl -T sends no Content-Type. penstock sends the one of the file's extension.")
	}
	if len(t.c.Data) == 1 && !t.c.Data[0].Raw {
		t.note("%s takes the line breaks out of the file. penstock sends it as it is.",
			t.c.Data[0].Option)
	}
	if t.varies == 0 && t.record == "" && t.c.Method == "PUT" {
		t.note("All files go to one URL. If it is to differ, put {name} or {path} into it.")
	}
}

// jqField finds calls of jq for one field.
var jqField = lazy.MustCompile(`^jq (?:-\w+ )*['"]?((?:\.\w+)*)\.(\w+)['"]?$`)

// about adds what a user needs to know of the command as a whole.
func (t *translation) about() {
	if len(t.fillIns) > 0 {
		t.notes = slices.Insert(t.notes, 0, oneLine("To fill in, unless it is meant as it is: "+
			strings.Join(t.fillIns, ", ")+"."))
	}
	if t.answers != nil {
		t.note("Not kept: %s. --results FILE says how each ended, and --capture NAME=JQ keeps a "+
			"value of the answer.", strings.Join(t.answers, ", "))
	}
	for _, next := range t.c.Next {
		if next == "echo" {
			continue
		}
		if strings.HasPrefix(next, "jq ") {
			capture := "NAME=JQ"
			if m := jqField.FindStringSubmatch(next); m != nil {
				capture = m[2] + "=" + m[1] + "." + m[2]
			}
			t.note("Not kept: | %s. --capture %s keeps it of each answer.", next, capture)
			continue
		}
		t.note("Not kept: what follows the curl command, %s.", next)
	}
	switch {
	case t.record != "":
	case t.file.made:
		t.note("Files: the example names none. Put them into %s, or name others in its place.",
			t.file.shown())
	default:
		dir := t.file.directory()
		t.note(`Many files: in place of %s name a directory, such as %s, or a pattern, such as `+
			`"%s**/*%s".`, t.file.shown(), dir, dir, t.file.extension())
	}
	if t.record == "" && t.constants > 0 {
		t.note(`Values that differ by file: --manifest items.ndjson instead of the file, with lines `+
			`such as {"path":"%s","color":"red"}, and {color} where red is to stand.`,
			t.file.plainName())
	}
}
