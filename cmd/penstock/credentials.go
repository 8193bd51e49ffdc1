package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/source"
)

// authorize adds the header Authorization, by the flags or the environment.
func (f *access) authorize(h http.Header) error {
	const authorization = "Authorization"
	own := h.Get(authorization) != ""
	value, from := "", ""
	switch {
	case f.user != "" && f.bearerFile != "":
		return errors.New("--user and --bearer-file: leave out one of them")
	case f.user != "":
		pair, err := userAndPassword(f.user)
		if err != nil {
			return fmt.Errorf("--user: %w", err)
		}
		value, from = "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)), "--user"
	case f.bearerFile != "":
		text, err := readText(f.bearerFile)
		if err != nil {
			return fmt.Errorf("--bearer-file: %w", err)
		}
		token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "Bearer "))
		if token == "" {
			return fmt.Errorf("--bearer-file %s is empty", f.bearerFile)
		}
		value, from = "Bearer "+token, "--bearer-file"
	default:
		token := os.Getenv("PENSTOCK_BEARER")
		if token == "" || own {
			return nil
		}
		value, from = "Bearer "+token, "PENSTOCK_BEARER"
	}
	if own {
		return fmt.Errorf("%s and an Authorization header: leave out one of them", from)
	}
	if err := source.CheckHeader(authorization, value); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	h.Set(authorization, value)
	return nil
}

// readUser checks the form of a user with a password. It is told without its value, which may be a
// secret.
func readUser(s string) (string, error) {
	if !strings.Contains(s, ":") && passwordFile(s) == "" {
		return "", valueError(": want USER:@FILE, where FILE has the password, or @FILE with both")
	}
	return s, nil
}

// passwordFile is the file that a value of --user names; "" if it has the password itself.
func passwordFile(user string) string {
	if file, both := strings.CutPrefix(user, "@"); both {
		return file
	}
	_, password, _ := strings.Cut(user, ":")
	file, ok := strings.CutPrefix(password, "@")
	if !ok {
		return ""
	}
	return file
}

// userAndPassword returns USER:PASSWORD.
func userAndPassword(user string) (string, error) {
	file := passwordFile(user)
	if file == "" {
		return user, nil
	}
	both := strings.HasPrefix(user, "@")
	text, err := readText(file)
	if errors.Is(err, fs.ErrNotExist) && !both {
		return "", fmt.Errorf("%w; a password that begins with @ goes into a file", err)
	}
	if err != nil {
		return "", err
	}
	text = strings.TrimRight(text, "\r\n") // an editor ends a file with it
	switch {
	case text == "":
		return "", fmt.Errorf("%s is empty", file)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("%s has several lines: want one, with the password", file)
	case !both:
		name, _, _ := strings.Cut(user, ":")
		return name + ":" + text, nil
	case !strings.Contains(text, ":"):
		return "", fmt.Errorf("%s has no colon: want USER:PASSWORD", file)
	}
	return text, nil
}

// shownUser is a value of --user without the password. Where that is empty, the user may be a
// token.
func shownUser(user string) string {
	name, password, ok := strings.Cut(user, ":")
	switch {
	case passwordFile(user) != "":
		return user
	case !ok:
		return secret.Mask
	case password == "":
		return secret.Mask + ":"
	}
	return name + ":" + secret.Mask
}

// remark says so if everybody on this machine can see the password. How the environment is given is
// not seen by others.
func (f *access) remark(env *environment) []string {
	if f.user == "" || env.has("user") || passwordFile(f.user) != "" {
		return nil
	}
	return []string{"others on this machine can see the password of --user in the list of " +
		"processes: write it to a file, and give --user USER:@FILE"}
}

// readText reads a file that a person wrote. Some editors begin it with a byte order mark, which is
// no part of the text.
func readText(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil && name == "-" {
		return "", errors.New("standard input is not read for this: name a file")
	}
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", fmt.Errorf("%s is in UTF-16: save it as UTF-8", name)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}
