package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/receipt"
	"github.com/penstock/penstock/internal/status"
)

// An exported is a stored request with all that was stored of it.
type exported struct {
	receipt.Receipt
	Headers http.Header `json:"headers"`
	Key     string      `json:"idempotency_key,omitempty"`
	Body    string      `json:"body,omitempty"`
	Base64  []byte      `json:"body_base64,omitempty"` // in place of Body if that is no text
	File    string      `json:"body_file,omitempty"`   // in place of both
	Error   string      `json:"error,omitempty"`       // why there is no body
}

func exportRequests() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "export {DIR | -}",
		Short: "Write requests with their bodies",
		Long: `Write requests with their bodies: to standard output as lines of JSON, or to a new
directory as requests.ndjson and a file for each body. What was delivered has no
body any more.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("where to? Give a new directory, or - for standard output")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, _, err := s.open()
			if err != nil {
				return err
			}
			defer r.Close()
			out, dir := cmd.OutOrStdout(), ""
			if args[0] != "-" {
				dir = args[0]
				if err := os.Mkdir(dir, 0o700); err != nil {
					return local(err)
				}
				f, err := os.OpenFile(filepath.Join(dir, "requests.ndjson"),
					os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return local(err)
				}
				defer f.Close()
				out = f
			}
			enc := human.NewEncoder(out)
			for e, err := range s.list(r) {
				var line exported
				if err == nil {
					line, err = exportOne(r, e, dir)
				}
				if err == nil {
					err = enc.Encode(line)
				}
				if err != nil {
					return local(err)
				}
			}
			return nil
		},
	}
	s.declare(cmd, outbox.States...)
	return cmd
}

// exportOne returns a request as it is written. Its body goes to a file in dir, if there is one.
func exportOne(r *outbox.Reader, e outbox.Entry, dir string) (exported, error) {
	line := exported{Receipt: receipt.Of(e), Headers: e.Header, Key: e.Key}
	if e.State == outbox.Delivered || e.Size == 0 {
		return line, nil
	}
	open, err := r.Body(e.ID)
	var body io.ReadCloser
	if err == nil {
		body, err = open()
	}
	if err != nil { // of this one request
		line.Error = status.Plain(err)
		return line, nil
	}
	defer body.Close()
	if dir != "" {
		line.File = e.ID
		f, err := os.OpenFile(filepath.Join(dir, e.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return line, err
		}
		_, err = io.Copy(f, body)
		return line, errors.Join(err, f.Close())
	}
	data, err := io.ReadAll(body)
	if utf8.Valid(data) && !slices.Contains(data, 0) && !bytes.ContainsRune(data, utf8.RuneError) {
		line.Body = string(data)
	} else {
		line.Base64 = data
	}
	return line, err
}
