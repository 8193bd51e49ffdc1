package results

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
)

var errNone = errors.New(`no line of results, which has "type":"item" and a "status"`)

// Parse reads what of a line another run can use: Path, Rel, URL, Method, Key, KeyMade and Status.
// Lines that penstock journal export writes have another spelling of names that are not UTF-8, too.
func Parse(text []byte) (r Result, err error) {
	var kind, status, path64, rel64 string
	hasStatus := false
	err = lines.Object(text, func(name []byte, value jsontext.Value) (err error) {
		var to *string
		switch string(name) {
		case "type":
			to = &kind
		case "status":
			to, hasStatus = &status, value.Kind() != 'n'
		case "path":
			to = &r.Path
		case "path_base64":
			to = &path64
		case "rel":
			to = &r.Rel
		case "rel_base64":
			to = &rel64
		case "url":
			to = &r.URL
		case "method":
			to = &r.Method
		case "key":
			to = &r.Key
		case "key_made":
			r.KeyMade = value.Kind() == 't'
		}
		if to == nil || value.Kind() == 'n' {
			return nil
		}
		if *to, err = lines.Scalar(value); err != nil {
			err = fmt.Errorf("%s: %w", human.Quote(string(name)), err)
		}
		return err
	})
	switch {
	case err != nil:
		return Result{}, err
	case kind != "item" || !hasStatus:
		return Result{}, errNone
	}
	for _, b := range []struct {
		from string
		to   *string
	}{{path64, &r.Path}, {rel64, &r.Rel}} {
		if b.from == "" {
			continue
		}
		name, err := base64.StdEncoding.DecodeString(b.from)
		if err != nil {
			return Result{}, errors.New("a name is not valid base64")
		}
		*b.to = string(name)
	}
	if r.Path == "" {
		return Result{}, errors.New(`no "path"`)
	}
	if r.Status, err = item.Parse(status); err != nil {
		return Result{}, fmt.Errorf("the status %s is not known: there are delivered, failed, "+
			"unknown, skipped, deferred", human.Quote(status))
	}
	return r, nil
}

// First reports whether a file consists of results, and the method of the first. The first line
// decides; [Read] reports what is wrong with that.
func First(name string) (is bool, method string) {
	f, err := os.Open(name)
	if err != nil {
		return false, ""
	}
	defer f.Close()
	for line, err := range lines.Each(f, false) {
		if err != nil {
			return false, ""
		}
		if line.Cut && !json.Valid(line.Text) {
			return strings.HasPrefix(string(line.Text), `{"type":"item",`), ""
		}
		kind, status := false, false
		err := lines.Object(line.Text, func(name []byte, value jsontext.Value) error {
			switch string(name) {
			case "type":
				kind = string(value) == `"item"`
			case "status":
				status = true
			case "method":
				method, _ = lines.Scalar(value)
			}
			return nil
		})
		return err == nil && kind && status, method
	}
	return false, ""
}

// Read visits the lines of a results file. A last line that was torn when its run was killed is
// passed over. What says what the file is for, in errors.
func Read(
	ctx context.Context, what, name string, visit func(number int, r Result),
) (torn bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("results: %s %s: %w", what, human.Quote(name), lines.Reason(err))
	}
	defer f.Close()
	for line, err := range lines.Each(f, false) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		var r Result
		if err == nil {
			if line.Cut && !json.Valid(line.Text) {
				return true, nil
			}
			r, err = Parse(line.Text)
		}
		if err != nil {
			return false, fmt.Errorf("results: %s %s line %d: %w",
				what, human.Quote(name), line.Number, err)
		}
		visit(line.Number, r)
	}
	return false, nil
}
