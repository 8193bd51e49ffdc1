package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/lab"
)

func labCommand() *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "lab",
		Short: "Run a server to practise on",
		Long: `Run a server to practise on. It takes uploads to any path, judges them by its
preset, and tells at /-/stats what it has seen: requests by status, the fullest
second, the most in flight, and for each stored name its size, SHA-256 and how
often it was accepted. HEAD of a name tells its length and SHA-256.

"penstock send --to lab:PRESET" starts such a server by itself.`,
		Example: `  penstock lab list
  penstock lab strict --help
  penstock lab strict --rps 20
  penstock lab window --n 100 --window 10s --headers true --listen 127.0.0.1:8080`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("which preset? See penstock lab list")
			}
			return unknownCommand(cmd, args[0])
		},
	}, "preset", &cobra.Command{
		Use:   "list",
		Short: "List the presets with their parameters",
		Args:  noArguments,
		Run:   func(cmd *cobra.Command, _ []string) { listPresets(cmd.OutOrStdout()) },
	})
	cmd.AddGroup(&cobra.Group{ID: "presets", Title: "Presets:"})
	for _, p := range lab.Presets() {
		cmd.AddCommand(presetCommand(p))
	}
	return cmd
}

// presetCommand is the command that runs a preset. The preset's parameters are its flags.
func presetCommand(p lab.Preset) *cobra.Command {
	var at string
	params := presetFlags(p)
	cmd := &cobra.Command{
		Use:     p.Name + " [--PARAM VALUE…]",
		Short:   p.Summary,
		Long:    presetTitle(p) + "\nParameters are shown with their defaults.\n" + kindsOf(p),
		Example: fmt.Sprintf(`  penstock send --to "lab:%s?PARAM=VALUE&…" PATH…`, p.Name),
		GroupID: "presets",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("one preset at a time: %s or %s?", p.Name, args[0])
			}
			return nil
		},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := url.Values{}
			params.VisitAll(func(f *pflag.Flag) {
				if f.Changed {
					given.Set(f.Name, f.Value.String())
				}
			})
			return runLab(cmd, p.Name, given, at)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&at, "listen", "127.0.0.1:0",
		"`ADDRESS` of the server; port 0 is any that is free")
	cmd.Flags().AddFlagSet(params)
	var kinds []string
	for _, kind := range p.Kinds {
		kinds = append(kinds, kind.Name)
	}
	if kinds != nil {
		complete(cmd, "kind", kinds...)
	}
	return cmd
}

func presetTitle(p lab.Preset) string { return p.Name + ": " + p.Summary + "\n" }

// presetFlags are the parameters of a preset. Help shows each with its default.
func presetFlags(p lab.Preset) *pflag.FlagSet {
	flags := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
	flags.SortFlags = false
	for _, param := range p.Params {
		flags.Var(text(new(string), param.Default), param.Name, param.Help)
	}
	return flags
}

// kindsOf explains the values of a preset's parameter --kind, if it has one.
func kindsOf(p lab.Preset) string {
	if p.Kinds == nil {
		return ""
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nKinds:")
	for _, kind := range p.Kinds {
		fmt.Fprintf(table, "  %s\t%s\n", kind.Name, kind.Help)
	}
	table.Flush()
	return b.String()
}

func listPresets(w io.Writer) {
	for i, p := range lab.Presets() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprint(w, presetTitle(p), presetFlags(p).FlagUsagesWrapped(helpWidth), kindsOf(p))
	}
}

// runLab serves until it is interrupted.
func runLab(cmd *cobra.Command, preset string, params url.Values, at string) error {
	server, err := newLab(preset, params)
	if err != nil {
		return err
	}
	l, err := listen("--listen", at)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	stopped, restore := interrupts(ctx, stop)
	defer restore()
	server.Start(l)
	fmt.Fprintf(cmd.ErrOrStderr(), "lab %s on http://%s (statistics: %s); Ctrl-C ends it\n",
		preset, l.Addr(), lab.StatsPath)
	<-stopped.Done()
	restore() // a second signal has its default action
	server.Close()
	for _, line := range server.Stats().Verdict() {
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	return nil
}
