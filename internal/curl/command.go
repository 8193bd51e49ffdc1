// Package curl reads curl command lines as people paste them: it splits them as a shell does, and
// reads the words as curl does. It runs nothing.
package curl

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A Command is what a curl command line asks for. What a shell would fill into its texts is between
// Marks.
type Command struct {
	URLs    []string // with what -G and --url-query add
	Globs   bool     // {} and [] in URLs are curl's own
	Method  string   // of the request that curl sends
	Headers []Header
	Form    []Part
	Data    []Datum
	JSON    bool // by --json
	Upload  string
	User    string // USER:PASSWORD, or USER
	Bearer  string

	// Others are the options that are not in these fields.
	Others []Option

	Assignments []string // of variables, before the command, such as TOKEN=x; with Marks
	Outputs     []string // redirections of its output
	Next        []string // what the shell does with its output, or afterwards
}

// A Header is a header of the request. An empty one is sent without a value; one that is Removed is
// curl's own, which it does not send.
type Header struct {
	Name, Value string
	Removed     bool
}

// A Datum is one of the -d family.
type Datum struct {
	Text    string
	File    string // not empty: its content, and Text is empty
	Name    string // of --data-urlencode NAME=…, NAME@…; for a text it is in Text too
	Encoded bool   // a file by --data-urlencode
	Raw     bool   // curl does not remove the file's line breaks
	Option  string // as it is spelled
}

// Parse reads the text of a shell that has a curl command in it. An error does not quote what may
// be a secret.
func Parse(text string) (*Command, error) {
	stmts, err := split(text)
	if err != nil {
		return nil, err
	}
	c := &Command{}
	at := -1
	for i, st := range stmts {
		words, assigned := program(st.words)
		if len(words) == 0 {
			if at < 0 {
				c.Assignments = append(c.Assignments, assigned...)
			}
			continue
		}
		if base := path.Base(words[0]); base == "curl" || base == "curl.exe" {
			if at >= 0 {
				return nil, errors.New("there are several curl commands: give one at a time")
			}
			at = i
			c.Assignments = append(c.Assignments, assigned...)
			stmts[i].words = words
		} else if at >= 0 {
			c.Next = append(c.Next, st.text)
		}
	}
	if at < 0 {
		return nil, errNoCurl
	}
	st := stmts[at]
	if st.end == "&" && at+1 < len(stmts) {
		return nil, errors.New("an & outside quotes ends the command: quote the URL")
	}
	c.Outputs = st.outputs
	in := st.input
	if in == nil {
		in = piped(stmts[:at])
	}
	return c, c.read(st.words[1:], in)
}

// piped is what the programs before a | put into the pipe; nil if there are none.
func piped(before []statement) *input {
	from := len(before)
	for from > 0 && before[from-1].end == "|" {
		from--
	}
	if from == len(before) {
		return nil
	}
	first := before[from]
	if len(before)-from == 1 && len(first.words) > 0 && first.words[0] == "cat" {
		switch {
		case len(first.words) == 1 && first.input != nil:
			return first.input
		case len(first.words) == 2 && first.input == nil:
			return &input{file: first.words[1]}
		}
	}
	var texts []string
	for _, st := range before[from:] {
		texts = append(texts, st.text)
	}
	return &input{text: Mark + "$(" + strings.Join(texts, " | ") + ")" + Mark}
}

// ParseWords reads a curl command that a shell has split already.
func ParseWords(words []string) (*Command, error) {
	for _, w := range words {
		if strings.Contains(w, Mark) {
			return nil, errNUL
		}
	}
	if len(words) == 0 || strings.TrimSuffix(path.Base(words[0]), ".exe") != "curl" {
		return nil, errNoCurl
	}
	c := &Command{}
	return c, c.read(words[1:], nil)
}

var errNoCurl = errors.New("want a curl command, such as " +
	"'curl -F file=@a.jpg https://api.example.com/upload'")

// program returns a statement's words from its program on, and the assignments before it. Prompts
// of shells and sudo are no programs.
func program(words []string) (rest, assigned []string) {
	for len(words) > 0 {
		name, _, found := strings.Cut(words[0], "=")
		switch {
		case words[0] == "$" || words[0] == "%" || words[0] == "sudo" || words[0] == "export":
		case found && name != "" && isName(name):
			assigned = append(assigned, words[0])
		default:
			return words, assigned
		}
		words = words[1:]
	}
	return nil, assigned
}

func isName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i], i == 0) {
			return false
		}
	}
	return s != ""
}

// read sets the fields by curl's arguments. Standard input is in.
func (c *Command) read(args []string, in *input) error {
	options, err := readOptions(args)
	if err != nil {
		return err
	}
	c.Globs = true
	var method string
	var get, head, uploads bool
	var queries []string
	for _, o := range options {
		switch o.Name {
		case "url":
			c.URLs = append(c.URLs, o.Value)
		case "request":
			method = o.Value
		case "globoff":
			c.Globs = false
		case "get":
			get = true
		case "head":
			head = true
		case "header":
			err = c.header(o.Value)
		case "user-agent":
			c.setHeader("User-Agent", o.Value)
		case "referer":
			referer, _ := strings.CutSuffix(o.Value, ";auto")
			c.setHeader("Referer", referer)
		case "cookie":
			if strings.ContainsAny(o.Value, "="+Mark) {
				c.Headers = append(c.Headers, Header{Name: "Cookie", Value: o.Value})
			} else {
				c.Others = append(c.Others, o)
			}
		case "form", "form-string":
			var p Part
			if o.Name == "form" {
				p, err = readPart(o.Value)
			} else {
				p.Name, p.Value, _ = strings.Cut(o.Value, "=")
			}
			c.Form = append(c.Form, p)
		case "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json":
			err = c.datum(o, in)
		case "upload-file":
			if uploads {
				err = errors.New("several -T: give one at a time")
			}
			c.Upload, uploads = o.Value, true
		case "user":
			c.User = o.Value
		case "oauth2-bearer":
			c.Bearer = o.Value
		case "url-query":
			queries = append(queries, urlencode(o.Value))
		case "next":
			err = errors.New("--next begins a second request: give one at a time")
		case "config":
			err = fmt.Errorf("%s reads options from a file: put them into the command", o.Spelled)
		default:
			c.Others = append(c.Others, o)
		}
		if err != nil {
			return err
		}
	}
	if err := c.conflicts(uploads, get, head); err != nil {
		return err
	}
	if uploads && (c.Upload == "-" || c.Upload == ".") {
		if in == nil || in.file == "" {
			return errors.New("-T - sends standard input: name a file in its place")
		}
		c.Upload = in.file
	}
	for _, p := range c.Form {
		if p.Kind != 0 && p.Value == "-" {
			return fmt.Errorf("-F %s=%c- sends standard input: name a file in its place",
				p.Name, p.Kind)
		}
	}
	if get {
		for _, d := range c.Data {
			if d.File != "" {
				return errors.New("-G puts a file's content into the URL: penstock cannot")
			}
			queries = append(queries, d.Text)
		}
		c.Data = nil
	}
	if len(c.URLs) == 0 {
		return errors.New("the curl command has no URL")
	}
	for i := range c.URLs {
		c.URLs[i] = withQuery(c.URLs[i], queries)
	}
	c.Method = method
	switch {
	case method != "":
	case head:
		c.Method = "HEAD"
	case uploads:
		c.Method = "PUT"
	case get || len(c.Form) == 0 && len(c.Data) == 0:
		c.Method = "GET"
	default:
		c.Method = "POST"
	}
	return nil
}

func (c *Command) conflicts(uploads, get, head bool) error {
	kinds := 0
	for _, given := range []bool{uploads, len(c.Form) > 0, len(c.Data) > 0 && !get, head} {
		if given {
			kinds++
		}
	}
	if kinds > 1 {
		return errors.New("of -d, -F, -T and -I curl takes only one kind in a request")
	}
	return nil
}

// header reads the value of -H.
func (c *Command) header(s string) error {
	if strings.HasPrefix(s, "@") {
		return fmt.Errorf("-H %s reads headers from a file: put them into the command", quoted(s))
	}
	name, value, found := strings.Cut(s, ":")
	if !found {
		if name, found = strings.CutSuffix(strings.TrimSpace(s), ";"); found {
			c.Headers = append(c.Headers, Header{Name: name})
			return nil
		}
		if strings.HasPrefix(s, Mark) {
			return errors.New("a -H is as a whole a variable of the shell: " +
				"write it as 'Name: value', and a variable for the value alone")
		}
		return nil // curl sends none
	}
	value = strings.TrimSpace(value)
	c.Headers = append(c.Headers,
		Header{Name: strings.TrimSpace(name), Value: value, Removed: value == ""})
	return nil
}

// setHeader sets a header that an option names, unless a -H does.
func (c *Command) setHeader(name, value string) {
	c.Headers = append(c.Headers, Header{Name: name, Value: value, Removed: value == ""})
}

// datum adds one of the -d family.
func (c *Command) datum(o Option, in *input) error {
	d := Datum{Option: o.Spelled}
	file := func(name string) error {
		switch {
		case name == "":
			return fmt.Errorf("%s @ names no file", o.Spelled)
		case name != "-":
			d.File = name
		case in == nil:
			return fmt.Errorf("%s @- sends standard input: name a file in its place", o.Spelled)
		case in.file != "":
			d.File = in.file
		default:
			d.Text = in.text
			if o.Name != "data-binary" && o.Name != "json" {
				d.Text = strings.NewReplacer("\n", "", "\r", "").Replace(in.text)
			}
		}
		return nil
	}
	var err error
	switch name, rest, isFile := strings.Cut(o.Value, "@"); {
	case o.Name == "data-urlencode" && isFile && !strings.Contains(name, "="):
		d.Name, d.Encoded, d.Raw = name, true, true
		err = file(rest)
	case o.Name == "data-urlencode":
		d.Text = urlencode(o.Value)
	case o.Name != "data-raw" && isFile && name == "":
		d.Raw = o.Name == "data-binary" || o.Name == "json"
		err = file(rest)
	default:
		d.Text = o.Value
	}
	if o.Name == "json" {
		c.JSON = true
	}
	c.Data = append(c.Data, d)
	return err
}

// urlencode encodes NAME=CONTENT, =CONTENT or CONTENT as --data-urlencode does. What is between
// Marks is left.
func urlencode(s string) string {
	name, content, found := strings.Cut(s, "=")
	if !found {
		name, content = "", s
	}
	pieces := strings.Split(content, Mark)
	for i := range pieces {
		if i%2 == 0 {
			pieces[i] = strings.ReplaceAll(url.QueryEscape(pieces[i]), "+", "%20")
		}
	}
	content = strings.Join(pieces, Mark)
	if name != "" {
		return name + "=" + content
	}
	return content
}

func withQuery(rawURL string, queries []string) string {
	queries = slices.DeleteFunc(slices.Clone(queries), func(q string) bool { return q == "" })
	if len(queries) == 0 {
		return rawURL
	}
	mark := "?"
	if strings.Contains(rawURL, "?") {
		mark = "&"
	}
	return rawURL + mark + strings.Join(queries, "&")
}

// quoted shows a text of a command in an error: what comes before an equals sign, for the rest may
// be a secret.
func quoted(s string) string {
	name, _, found := strings.Cut(s, "=")
	name = strings.ReplaceAll(name, Mark, "")
	if found {
		name += "=…"
	}
	return fmt.Sprintf("%.40q", name)
}
