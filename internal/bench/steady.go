package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Clients that connect at once, and how many requests each makes.
const (
	crowd     = 200
	crowdAsks = 50
)

// capacityUsers are how many users the capacity is that of.
const capacityUsers = 100

// benchSteady compares the contenders at half of what the first was capable of, where requests come
// evenly however long the answers take, and with clients that all connect at one moment. Each
// number is the median of the rounds.
func benchSteady(ctx context.Context, contenders []*contender, rounds int, out io.Writer) error {
	rate := medianLoad(contenders[0].rounds[capacityUsers]).perSecond / 2
	half, crowded := make([][]answers, len(contenders)), make([][]answers, len(contenders))
	for range rounds {
		for i, c := range contenders {
			for _, one := range []struct {
				all *[]answers
				run func(context.Context, *url.URL) ([]time.Duration, error)
			}{
				{&half[i], func(ctx context.Context, u *url.URL) ([]time.Duration, error) {
					return evenly(ctx, u, rate)
				}},
				{&crowded[i], atOnce},
			} {
				u, err := url.Parse(c.url + "/f")
				if err != nil {
					return err
				}
				took, err := one.run(ctx, u)
				if err != nil {
					return fmt.Errorf("bench: %s: %w", c.name, err)
				}
				slices.Sort(took)
				*one.all = append(*one.all,
					answers{rate, 0, took[len(took)/2], took[len(took)*99/100]})
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "load\tserver\tmedian\tp99\tp99/median\t")
	for _, row := range []struct {
		load string
		of   [][]answers
	}{
		{fmt.Sprintf("%.0f requests/s, evenly", rate), half},
		{fmt.Sprintf("%d clients at once, %d requests each", crowd, crowdAsks), crowded},
	} {
		for i, c := range contenders {
			l := medianLoad(row.of[i])
			fmt.Fprintf(table, "%s\t%s\t%v\t%v\t%.1f\t\n", row.load, c.name,
				l.median.Round(10*time.Microsecond), l.p99.Round(10*time.Microsecond),
				float64(l.p99)/float64(l.median))
		}
	}
	return table.Flush()
}

// evenly asks at a rate for relaySpan, and returns how long after its instant each request was
// answered: one that has to wait for a connection that is free is late, too.
func evenly(ctx context.Context, u *url.URL, rate float64) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, relaySpan)
	defer cancel()
	due := make(chan time.Time, int(rate*relaySpan.Seconds())+1)
	go func() {
		defer close(due)
		begin, n := time.Now(), 0
		for ctx.Err() == nil {
			for ; float64(n) < time.Since(begin).Seconds()*rate && n < cap(due); n++ {
				due <- begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	return together(capacityUsers, func() (took []time.Duration, err error) {
		c, err := dial(u)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		for at := range due {
			if err := c.ask(); err != nil {
				return nil, err
			}
			took = append(took, time.Since(at))
		}
		return took, nil
	})
}

// atOnce has a crowd of clients connect at one moment and ask. Each first request takes the
// connecting too.
func atOnce(_ context.Context, u *url.URL) ([]time.Duration, error) {
	return together(crowd, func() (took []time.Duration, err error) {
		begin := time.Now()
		c, err := dial(u)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		for range crowdAsks {
			if err := c.ask(); err != nil {
				return nil, err
			}
			took, begin = append(took, time.Since(begin)), time.Now()
		}
		return took, nil
	})
}

// together has n clients at work, and returns how long all of their requests took.
func together(
	n int, client func() ([]time.Duration, error),
) (took []time.Duration, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			mine, why := client()
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, mine...); why != nil {
				err = why
			}
		})
	}
	group.Wait()
	if err == nil && len(took) == 0 {
		err = fmt.Errorf("nothing was answered")
	}
	return took, err
}

// An asker has a connection to ask on.
type asker struct {
	net.Conn
	request []byte
	r       *bufio.Reader
}

func dial(u *url.URL) (*asker, error) {
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	request := []byte("GET " + u.Path + " HTTP/1.1\r\nHost: " + u.Host + "\r\n\r\n")
	return &asker{conn, request, bufio.NewReader(conn)}, nil
}

// ask asks once, and reads no more of the answer than a client has to.
func (a *asker) ask() error {
	if _, err := a.Write(a.request); err != nil {
		return err
	}
	return readAnswer(a.r)
}
