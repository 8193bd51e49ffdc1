package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/shell"
	"github.com/penstock/penstock/internal/statedir"
)

// autoShard is the value of --shard that takes it from the environment of a pod.
const autoShard = "auto"

// readShard reads a value of --shard.
func readShard(text string) (item.Shard, error) {
	if text != autoShard {
		s, err := item.ParseShard(text)
		if err != nil {
			return s, valueError(fmt.Sprintf(" %s: %v", quotedIfBlank(text), err))
		}
		return s, nil
	}
	const index, count = "JOB_COMPLETION_INDEX", "PENSTOCK_SHARDS"
	i, err := number(index, "Kubernetes sets it in an Indexed Job; elsewhere give --shard I/N")
	if err != nil {
		return item.Shard{}, err
	}
	n, err := number(count, "let it be the completions of the Job")
	if err != nil {
		return item.Shard{}, err
	}
	s, err := item.ParseShard(fmt.Sprintf("%d/%d", i+1, n))
	if err != nil {
		return s, valueError(fmt.Sprintf(" %s: %s=%d and %s=%d are shard %d/%d: %v",
			autoShard, index, i, count, n, i+1, n, err))
	}
	return s, nil
}

// number reads a variable of the environment that has a number.
func number(name, advice string) (int, error) {
	text := strings.TrimSpace(os.Getenv(name))
	if text == "" {
		return 0, valueError(fmt.Sprintf(" %s: %s is not set: %s", autoShard, name, advice))
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, valueError(fmt.Sprintf(" %s: %s is %q, and no number: %s", autoShard, name, text,
			advice))
	}
	return int(n), nil
}

// resolveShard has the command say which shard it is: it goes on with that one also elsewhere.
func (f *sendFlags) resolveShard() {
	for i, w := range f.command.words {
		if w.name == "shard" && w.value == autoShard {
			f.command.words[i].value = f.source.Shard.String()
		}
	}
}

// checkShard returns an error for a source that cannot be divided.
func (f *sendFlags) checkShard() error {
	if f.source.Shard.IsWhole() || !f.run.Source.FromResults() || f.source.From != "" {
		return nil
	}
	return errors.New("--shard and results as --manifest: results do not say which shard an item " +
		"was in; give the paths or the manifest of that run, and the results with --from")
}

// checkDivision returns an error if the same work was sent since in another number of shards, or
// as a whole: the journal at path does not know what was delivered then.
func (f *sendFlags) checkDivision(path string) error {
	if path == "" || f.whole == "" {
		return nil
	}
	dir := filepath.Dir(path)
	related, _ := statedir.Related(dir, f.whole)
	var files []string
	for _, name := range related {
		if name != statedir.Name(path) {
			files = append(files, filepath.Join(dir, name+statedir.Suffix))
		}
	}
	ahead := journal.Ahead(path, f.run.Shard, files)
	if ahead == nil {
		return nil
	}
	now, others := "without --shard", ""
	if !f.run.Shard.IsWhole() {
		now, others = "--shard "+f.run.Shard.String(), ", and each other shard likewise"
	}
	return fmt.Errorf("%s: other runs have divided the same work in another way, and what they "+
		"delivered would be sent again; divide it as they did, or first have this run know it%s: "+
		"penstock journal merge %s %s", now, others, shell.Quote(statedir.Name(path)),
		strings.Join(asArguments(ahead), " "))
}

// asArguments names journals in the state directory, those of a division by a pattern.
func asArguments(paths []string) (names []string) {
	for _, path := range paths {
		name := statedir.Name(path)
		if whole, shard := statedir.OfShard(name); shard != "" {
			_, of, _ := strings.Cut(shard, "/")
			name = whole + "-*-of-" + of
		}
		if name = shell.Quote(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
