package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/status"
)

func quotaCommand() *cobra.Command {
	return parent(&cobra.Command{
		Use:   "quota",
		Short: "Look at a quota that several runs share, and change it",
		Long: `Look at a quota that several runs share, and change it. Runs and relays share
one by --quota-from URL, on any number of machines. It is kept in a Redis, and a
change holds for all of them at once.

A URL is redis://[USER:PASSWORD@]HOST[:PORT]/DB/NAME; ?password-file=FILE may
follow. With TLS it begins with rediss://; unix://SOCKET/DB/NAME, redis+sentinel
and redis+cluster are there, too.`,
		Example: `  penstock quota show redis://cache.example.com/0/partner
  penstock quota set --rps 500 redis://cache.example.com/0/partner
  penstock quota pause --for 10m redis://cache.example.com/0/partner
  penstock quota resume redis://cache.example.com/0/partner`,
	}, "command", quotaShow(), quotaSet(), quotaPause(), quotaResume())
}

func oneQuota(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("which quota? Give its URL, such as redis://localhost/0/partner")
	case 1:
		_, err := readQuota(args[0])
		if err != nil {
			return errors.New("URL" + err.Error())
		}
		return nil
	}
	return errors.New("one quota at a time")
}

// onQuota does something with a quota that is there already, and reports its state after that.
func onQuota(
	cmd *cobra.Command, url string, do func(context.Context, *quota.Quota) error,
) (quota.State, error) {
	ctx := cmd.Context()
	q, err := quota.Open(ctx, url, quota.Options{Notify: func(n quota.Notice) {
		if n.Err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "penstock:", human.Printable(status.Quota(n)))
		}
	}})
	if err != nil {
		return quota.State{}, quotaError(err, "", "")
	}
	defer func() { _ = q.Close(ctx) }()
	if err := do(ctx, q); err != nil {
		return quota.State{}, quotaError(err, "", "")
	}
	state, err := q.State(ctx)
	return state, quotaError(err, "", "")
}

func quotaShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show URL",
		Short: "Show what a quota allows, and who shares it",
		Args:  oneQuota,
		RunE: func(cmd *cobra.Command, args []string) error {
			var found quota.Found
			look := func(ctx context.Context, q *quota.Quota) (err error) {
				found, err = q.Found(ctx)
				return err
			}
			state, err := onQuota(cmd, args[0], look)
			if err != nil {
				return err
			}
			if state.Settings.Rate > 0 { // which holds, whatever was found before
				found = quota.Found{}
			}
			if asJSON {
				return encode(cmd.OutOrStdout(), quotaJSON(state, found))
			}
			return local(showQuota(cmd.OutOrStdout(), state, found, time.Now()))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// showQuota writes what a quota is for people.
func showQuota(w io.Writer, s quota.State, found quota.Found, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "quota %s: %s\n", s.Name, status.QuotaSettings(s.Settings))
	if text := status.QuotaGiven(s); text != "" {
		fmt.Fprintln(&b, text)
	}
	if found.Rate > 0 {
		fmt.Fprintf(&b, "found %s of all together, %s\n", human.Rate(float64(found.Rate)),
			human.When(found.At, now))
	}
	if s.Paused.After(now) {
		fmt.Fprintln(&b, status.QuotaPaused(s.Paused, s.PauseSource, now))
	}
	if len(s.Hosts) == 0 {
		fmt.Fprintln(&b, "nobody uses it now")
		_, err := io.WriteString(w, b.String())
		return err
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tPROCESS\tSINCE\tSENT\tWAITING\tIN FLIGHT\t")
	for _, h := range s.Hosts {
		inFlight := human.Count(h.InFlight)
		if s.Settings.InFlight > 0 {
			inFlight += " of " + human.Count(h.May)
		}
		silent := ""
		if h.Silent {
			silent = "silent for " + human.Span(h.Heard.Round(time.Second))
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", human.Printable(h.Name), h.PID,
			human.When(h.Started, now), human.Count(h.Sent), human.Count(h.Waiting), inFlight,
			silent)
	}
	table.Flush()
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// quotaGiven is what runs have given of a quota.
type quotaGiven struct {
	Rate     float64 `json:"rps,omitempty"`
	Burst    int     `json:"burst,omitempty"`
	InFlight int     `json:"concurrency,omitempty"`
}

// quotaJSON is a quota for programs. Fields are added, never renamed.
func quotaJSON(s quota.State, found quota.Found) any {
	type host struct {
		Name     string    `json:"name"`
		PID      int       `json:"pid"`
		Started  time.Time `json:"started"`
		Heard    float64   `json:"heard_seconds_ago"`
		Silent   bool      `json:"silent"`
		Sent     int64     `json:"sent"`
		Waiting  int       `json:"waiting"`
		InFlight int       `json:"in_flight"`
		May      *int      `json:"in_flight_limit"` // its part; null: not limited
	}
	v := struct {
		Name        string     `json:"name"`
		Rate        *float64   `json:"rps"` // null: not limited
		Burst       int        `json:"burst"`
		InFlight    *int       `json:"concurrency"` // null: not limited
		Given       quotaGiven `json:"given"`       // by runs, where no other was set by hand
		Found       *float64   `json:"found_rps"`   // without a limit; null: nothing was
		FoundAt     *time.Time `json:"found_at"`
		Paused      *time.Time `json:"paused_until"` // null: it is not
		PauseSource string     `json:"pause_source,omitempty"`
		Hosts       []host     `json:"hosts"`
		Server      string     `json:"redis_version,omitempty"`
	}{Name: s.Name, Burst: max(s.Settings.Burst, 1), Paused: instant(s.Paused),
		PauseSource: s.PauseSource, Hosts: []host{}, Server: s.Server, Given: quotaGiven{
			float64(s.Given.Rate), s.Given.Burst, s.Given.InFlight,
		}}
	if r := float64(s.Settings.Rate); r > 0 {
		v.Rate = &r
	}
	if r := float64(found.Rate); r > 0 {
		v.Found, v.FoundAt = &r, instant(found.At)
	}
	if s.Settings.InFlight > 0 {
		v.InFlight = &s.Settings.InFlight
	}
	for _, h := range s.Hosts {
		row := host{Name: h.Name, PID: h.PID, Started: h.Started.UTC(),
			Heard: math.Round(h.Heard.Seconds()*10) / 10, Silent: h.Silent, Sent: h.Sent,
			Waiting: h.Waiting, InFlight: h.InFlight}
		if v.InFlight != nil {
			row.May = &h.May
		}
		v.Hosts = append(v.Hosts, row)
	}
	return v
}

func quotaSet() *cobra.Command {
	var c quota.Changes
	cmd := &cobra.Command{
		Use:   "set [flags] URL",
		Short: "Change what a quota allows, at once and for all that share it",
		Args:  oneQuota,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c == (quota.Changes{}) {
				return errors.New("change what? Give --rps, --burst or --concurrency")
			}
			state, err := onQuota(cmd, args[0], func(ctx context.Context, q *quota.Quota) error {
				return q.Set(ctx, c)
			})
			return saidOf(cmd, state, err)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(newValue(&c.Rate, "R", orNone(func(s string) (rate.Limit, error) {
		r, err := human.ParseRate(s)
		return rate.Limit(r), err
	})), "rps", "requests a second of all together: 100, 0.5, 3000/min; or none")
	flags.Var(newValue(&c.Burst, "N", orNone(wholeNumber(math.MaxInt32, ""))), "burst",
		"requests that may leave at once after a lull; or none, which is 1")
	flags.Var(newValue(&c.InFlight, "N", orNone(wholeNumber(math.MaxInt32, ""))), "concurrency",
		"requests in flight of all together; or none")
	return cmd
}

// orNone reads what read does, and "none", which is zero.
func orNone[T any](read func(string) (T, error)) func(string) (*T, error) {
	return func(s string) (*T, error) {
		if s == "none" {
			return new(T), nil
		}
		v, err := read(s)
		if err != nil {
			return nil, fmt.Errorf("%w; or none", err)
		}
		return &v, nil
	}
}

func quotaPause() *cobra.Command {
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "pause [flags] URL",
		Short: "Have nobody send anything",
		Args:  oneQuota,
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := onQuota(cmd, args[0], func(ctx context.Context, q *quota.Quota) error {
				return q.Pause(ctx, time.Now().Add(length), status.QuotaByHand)
			})
			return saidOf(cmd, state, err)
		},
	}
	// As long as runs wait by default, they do not end.
	cmd.Flags().Var(duration(&length).or("1d"), "for",
		"for how long, unless somebody resumes it before")
	return cmd
}

func quotaResume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume URL",
		Short: "End a pause, also one that the server asked for",
		Long: `End a pause, also one that the server asked for. A file whose own answer had a
Retry-After still waits for that long by itself, and a run that begins later
obeys what its journal has of it.`,
		Args: oneQuota,
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := onQuota(cmd, args[0], func(ctx context.Context, q *quota.Quota) error {
				return q.Resume(ctx)
			})
			return saidOf(cmd, state, err)
		},
	}
}

// saidOf says in a line how a quota is now.
func saidOf(cmd *cobra.Command, s quota.State, err error) error {
	if err != nil {
		return err
	}
	now := time.Now()
	text := "quota " + s.Name + ": " + status.QuotaSettings(s.Settings)
	if s.Paused.After(now) {
		text += "; " + status.QuotaPaused(s.Paused, s.PauseSource, now)
	}
	if len(s.Hosts) == 0 { // the name may be misspelt
		text += "; nobody uses it now"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), human.Printable(text))
	return local(err)
}
