package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// What README shows for the shell is done by a test: commands of penstock by a script under
// cmd/penstock/testdata/script, with the same arguments (a script's $VARIABLE stands for any text),
// `go test` by .ci/run, and what else go is told names packages that exist. What curl has a relay's
// admin do is posted by the script of that; what else it does, a script does by curl too.
func TestReadmeShell(t *testing.T) {
	text := readme(t)
	tested := scripts(t)
	ci, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	test.OK(t, err)
	admin, err := os.ReadFile(filepath.Join(root, "cmd", "penstock", "testdata", "script",
		"admin.txtar"))
	test.OK(t, err)
	for _, b := range blocks(text) {
		switch b.kind {
		case "bash", "shell", "console", "powershell":
			t.Errorf("README.md:%d: call the block sh, so that it is tested", b.line)
		case "sh", "cron":
			text := b.text
			if b.kind == "cron" {
				text = cronTimes.ReplaceAllString(text, "")
			}
			for _, words := range shellCommands(text) {
				command := strings.Join(words, " ")
				switch {
				case words[0] == "penstock":
					if !slices.ContainsFunc(tested,
						func(script []string) bool { return covers(script, words) }) {
						t.Errorf("README.md:%d: no script has this command: %s", b.line, command)
					}
				case strings.HasPrefix(command, "go test"):
					if !strings.Contains(string(ci), command+"\n") {
						t.Errorf("README.md:%d: .ci/run does not: %s", b.line, command)
					}
				case strings.HasPrefix(command, "curl --json "):
					_, path, _ := strings.Cut(command, "http://127.0.0.1:8430/")
					if line := "post $ADMIN/" + path + " '" + words[2] + "' "; !strings.Contains(
						string(admin), line) {
						t.Errorf("README.md:%d: admin.txtar does not: %s", b.line, line)
					}
				case words[0] == "curl", words[0] == "jq", words[0] == "sh":
					if !slices.ContainsFunc(tested,
						func(script []string) bool { return covers(script, words) }) {
						t.Errorf("README.md:%d: no script has this command: %s", b.line, command)
					}
				case words[0] == "go":
					for _, dir := range packageDirs(words) {
						if info, err := os.Stat(filepath.Join(root, dir)); err != nil ||
							!info.IsDir() {
							t.Errorf("README.md:%d: %s: there is no package %s", b.line, command,
								dir)
						}
					}
				case words[0] != "git" && words[0] != "cd":
					t.Errorf("README.md:%d: no test does this: %s", b.line, command)
				}
			}
		}
	}
}

// cronTimes are when cron runs a line.
var cronTimes = regexp.MustCompile(`(?m)^(?:[0-9*/,-]+ ){5}`)

// packageDirs are the packages of this module in a go command, as directories.
func packageDirs(words []string) (dirs []string) {
	for _, w := range words {
		w, _, _ = strings.Cut(w, "@")
		if within(w, module) {
			dirs = append(dirs, "."+strings.TrimPrefix(w, module))
		} else if within(w, ".") {
			dirs = append(dirs, strings.TrimSuffix(w, "/..."))
		}
	}
	return dirs
}

// shellCommands splits a block into commands and their words: enough of a shell for what a README
// says, and the same in PowerShell and cmd. Comments, assignments before a command and redirections
// are left out.
func shellCommands(text string) (commands [][]string) {
	var words []string
	word, inWord, quote, redirected := "", false, rune(0), false
	endWord := func() {
		assignment := len(words) == 0 && strings.Contains(word, "=")
		if inWord && !redirected && !assignment {
			words = append(words, word)
		}
		if inWord {
			redirected = false
		}
		word, inWord = "", false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words, redirected = nil, false
	}
	runes := []rune(strings.ReplaceAll(text, "\\\n", " "))
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == '&' && redirected && !inWord: // as in 2>&1
			inWord = true
		case r == '\n' || r == '|' || r == ';' || r == '&':
			endCommand()
		case r == '>' || r == '<':
			if word == "2" { // of 2>
				word, inWord = "", false
			}
			endWord()
			redirected = true
		case r == ' ' || r == '\t':
			endWord()
		case r == '#' && !inWord:
			for i+1 < len(runes) && runes[i+1] != '\n' {
				i++
			}
		default:
			word, inWord = word+string(r), true
		}
	}
	endCommand()
	return commands
}

// scripts returns the commands of penstock, curl, jq and sh in all test scripts, as words.
func scripts(t *testing.T) (commands [][]string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "cmd", "penstock", "testdata", "script",
		"*.txt*"))
	test.OK(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		test.OK(t, err)
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "-- ") {
				break // the rest are files
			}
			words := scriptWords(line)
			// What stands before the command is about its outcome and where it runs.
			for len(words) > 0 && (strings.Trim(words[0], "!?") == "" || words[0] == "exec" ||
				words[0] == "start" || words[0][0] == '[') {
				words = words[1:]
			}
			if n := len(words) - 1; n > 0 && strings.HasPrefix(words[n], "&") &&
				strings.HasSuffix(words[n], "&") {
				words = words[:n] // in the background
			}
			programs := []string{"penstock", "curl", "jq", "sh"}
			if len(words) > 0 && slices.Contains(programs, words[0]) {
				commands = append(commands, words)
			}
		}
	}
	return commands
}

// scriptWords splits a line of a test script, in which only single quotes quote, and a doubled one
// stands for itself.
func scriptWords(line string) (words []string) {
	word, inWord, quoted := "", false, false
	line = strings.TrimRight(line, "\r\n")
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'' && quoted && strings.HasPrefix(line[i+1:], "'"):
			word += "'"
			i++
		case c == '\'':
			quoted, inWord = !quoted, true
		case quoted:
			word += string(c)
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word)
			}
			word, inWord = "", false
		case c == '#' && !inWord:
			return words
		default:
			word, inWord = word+string(c), true
		}
	}
	if inWord {
		words = append(words, word)
	}
	return words
}

var scriptVariable = regexp.MustCompile(`\$(\{\w+\}|\w+)`)

// covers reports whether a script's command is the one that README shows.
func covers(script, shown []string) bool {
	return slices.EqualFunc(script, shown, func(pattern, word string) bool {
		var exact strings.Builder
		last := 0
		for _, at := range scriptVariable.FindAllStringIndex(pattern, -1) {
			exact.WriteString(regexp.QuoteMeta(pattern[last:at[0]]) + ".+")
			last = at[1]
		}
		exact.WriteString(regexp.QuoteMeta(pattern[last:]))
		return regexp.MustCompile("^(?:" + exact.String() + ")$").MatchString(word)
	})
}

func TestShellCommands(t *testing.T) {
	got := shellCommands(`# A comment.
penstock send --rps 4 --to "https://h/files/{name}" data/   # another
A=b penstock lab list > out.txt 2>&1 | penstock send --to 'a b' \
  - && go test ./...
`)
	want := [][]string{
		{"penstock", "send", "--rps", "4", "--to", "https://h/files/{name}", "data/"},
		{"penstock", "lab", "list"},
		{"penstock", "send", "--to", "a b", "-"},
		{"go", "test", "./..."},
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestCovers(t *testing.T) {
	shown := []string{"penstock", "send", "--to", "https://h/files/{name}", "it's"}
	for line, want := range map[string]bool{
		"penstock send --to https://h/files/{name} 'it''s'": true,
		"penstock send --to $URL/files/{name} 'it''s'":      true,
		"penstock send --to ${URL}/{name} 'it''s' # no":     true,
		"penstock send --to $URL/{path} 'it''s'":            false,
		"penstock send --to $URL/files/{name}":              false,
	} {
		if got := covers(scriptWords(line), shown); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}
