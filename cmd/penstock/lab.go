package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/lab"
)

func labCommand() *cobra.Command {
	var presets strings.Builder
	for _, p := range lab.Presets() {
		fmt.Fprintf(&presets, "  %-12s %s\n", p.Name, p.Summary)
	}
	return &cobra.Command{
		Use:   "lab PRESET [--listen HOST:PORT] [--PARAM VALUE…]",
		Short: "Run a server to practise on",
		Long: `Run a server to practise on. It takes uploads to any path, judges them by its
preset, and tells at /-/stats what it has seen: requests by status, the fullest
second, the most in flight, and for each stored name its size, SHA-256 and how
often it was accepted. HEAD of a name tells its length and SHA-256.

"penstock send --to lab:PRESET" starts such a server by itself.

Presets:
` + strings.TrimRight(presets.String(), "\n"),
		Example: `  penstock lab list
  penstock lab strict --help
  penstock lab strict --rps 20
  penstock lab window --n 100 --window 10s --headers true --listen 127.0.0.1:8080`,
		// The parameters are the preset's own flags.
		DisableFlagParsing: true,
		RunE:               runLab,
	}
}

const labListen = "127.0.0.1:0"

// runLab reads "PRESET --param value …" and serves until it is interrupted.
func runLab(cmd *cobra.Command, args []string) error {
	preset, listen, help := "", labListen, false
	params := url.Values{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, isFlag := strings.CutPrefix(arg, "--")
		if arg == "-h" || arg == "--help" {
			help = true
			continue
		}
		if !isFlag {
			if preset != "" {
				return usageError(fmt.Errorf("lab: one preset at a time: %s or %s?", preset, arg))
			}
			preset = arg
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !given {
			if len(args) == 0 {
				return usageError(fmt.Errorf("lab: --%s needs a value", name))
			}
			value, args = args[0], args[1:]
		}
		if name == "listen" {
			listen = value
			continue
		}
		params.Add(name, value)
	}
	switch {
	case help:
		return helpPreset(cmd, preset)
	case preset == "":
		return usageError(fmt.Errorf("lab: which preset? See penstock lab list"))
	case preset == "list":
		return listPresets(cmd)
	}

	server, err := lab.New(preset, params)
	if err != nil {
		return usageError(err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return &exit.Error{Status: exit.Failed, Err: fmt.Errorf("lab: %w", err)}
	}
	ctx, restore := untilStopped(cmd.Context())
	defer restore()
	server.Start(l)
	fmt.Fprintf(cmd.ErrOrStderr(), "lab %s on http://%s (statistics: /-/stats); Ctrl-C ends it\n", preset, l.Addr())
	<-ctx.Done()
	restore() // a second signal has its default action
	server.Close()
	for _, line := range server.Stats().Verdict() {
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	return nil
}

func listPresets(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for i, p := range lab.Presets() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", p.Name, p.Summary)
		listParams(w, p)
	}
	return w.Flush()
}

func listParams(w io.Writer, p lab.Preset) {
	for _, param := range p.Params {
		fmt.Fprintf(w, "  --%s\t%s\t%s\n", param.Name, param.Default, param.Help)
	}
	for i, kind := range p.Kinds {
		if i == 0 {
			fmt.Fprintf(w, "  kinds:\n")
		}
		fmt.Fprintf(w, "    %s\t%s\n", kind.Name, kind.Help)
	}
}

// helpPreset tells of one preset, or of the command where none is named.
func helpPreset(cmd *cobra.Command, preset string) error {
	if preset == "" || preset == "list" {
		return cmd.Help()
	}
	presets := lab.Presets()
	i := slices.IndexFunc(presets, func(p lab.Preset) bool { return p.Name == preset })
	if i < 0 {
		_, err := lab.New(preset, nil)
		return usageError(err)
	}
	p := presets[i]
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: %s\n\nUsage:\n", p.Name, p.Summary)
	fmt.Fprintf(w, "  penstock lab %s [--PARAM VALUE…]\n", p.Name)
	fmt.Fprintf(w, "  penstock send --to \"lab:%s?PARAM=VALUE&…\" PATH…\n\nParameters and their defaults:\n", p.Name)
	fmt.Fprintf(w, "  --listen\t%s\taddress of the server; port 0 is any that is free\n", labListen)
	listParams(w, p)
	return w.Flush()
}
