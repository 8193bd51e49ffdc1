package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// each describes what Each yields.
func each(r io.Reader, null bool) (got []string) {
	for line, err := range Each(r, null) {
		text := string(line.Text)
		if len(text) > 9 {
			text = fmt.Sprintf("%.2s…%d", text, len(text))
		}
		switch {
		case err != nil:
			text = "! " + err.Error()
		case line.Cut:
			text += " (cut)"
		}
		got = append(got, fmt.Sprintf("%d %s", line.Number, text))
	}
	return got
}

func TestEach(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	const long = "! the line is longer than 1 MiB"
	for _, c := range []struct {
		in   string
		null bool
		want []string
	}{
		{"", false, nil},
		{"\n\r\n \t\n", false, nil},
		{"a\r\n\nb", false, []string{"1 a", "3 b (cut)"}},
		{"\ufeffa\n\ufeffb\n", false, []string{"1 a", "2 \ufeffb"}},
		{"a\x00b\n", false, []string{"1 a\x00b"}},
		{"a\nb\x00\x00c", true, []string{"1 a\nb", "3 c"}},
		{a(4095) + "\n" + a(4096) + "\nb\n", false, []string{"1 aa…4095", "2 aa…4096", "3 b"}},
		{"\ufeff" + a(MaxLen) + "\r\n", false, []string{"1 aa…1048576"}},
		{a(MaxLen+1) + "\nb\n", false, []string{"1 " + long, "2 b"}},
		{a(10<<20) + "\nb\n" + a(10<<20), false, []string{"1 " + long, "2 b", "3 " + long}},
		{a(MaxLen+1) + "\x00b", true, []string{"1 " + long, "2 b"}},
	} {
		if got := each(strings.NewReader(c.in), c.null); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.20q: %q, want %q", c.in, got, c.want)
		}
	}
	broken := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errors.New("gone")))
	if got := each(broken, false); !reflect.DeepEqual(got, []string{"1 a", "2 ! gone"}) {
		t.Errorf("%q", got)
	}
}

// A line that never ends takes no more memory than one that is as long as is allowed.
func TestLongLineIsNotHeld(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range Each(io.LimitReader(zeros{}, 64<<20), false) {
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8*MaxLen {
		t.Errorf("%d bytes were allocated", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Lines are what is between the ends, however the input comes.
func FuzzEach(f *testing.F) {
	f.Add([]byte("a\r\n\n{}\nb"), false, 3)
	f.Add([]byte("\xef\xbb\xbfa\x00\n\x00"), true, 1)
	f.Add([]byte("\xef\xbb\xbf\r\n\r\r\n"), false, 2)
	f.Fuzz(func(t *testing.T, text []byte, null bool, times int) {
		// So that lines are around the sizes of the buffer and the longest line.
		text = bytes.ReplaceAll(text, []byte("L"), bytes.Repeat([]byte("l"), 1<<(times&31%21)))
		if len(text) > 4<<20 {
			return
		}
		end := "\n"
		if null {
			end = "\x00"
		}
		var want []string
		for i, line := range strings.SplitAfter(string(text), end) {
			cut := !null && !strings.HasSuffix(line, end)
			line = strings.TrimSuffix(line, end)
			if !null {
				line = strings.TrimSuffix(line, "\r")
				if i == 0 {
					line = strings.TrimPrefix(line, "\ufeff")
				}
			}
			switch {
			case len(line) > MaxLen:
				want = append(want, fmt.Sprintf("%d too long", i+1))
			case line != "" && (null || strings.TrimSpace(line) != ""):
				want = append(want, fmt.Sprintf("%d %v %s", i+1, cut, line))
			}
		}
		for _, in := range []io.Reader{
			bytes.NewReader(text), iotest.HalfReader(bytes.NewReader(text)),
			iotest.DataErrReader(bytes.NewReader(text)),
		} {
			var got []string
			for line, err := range Each(in, null) {
				if err == ErrLong {
					got = append(got, fmt.Sprintf("%d too long", line.Number))
				} else {
					got = append(got, fmt.Sprintf("%d %v %s", line.Number, line.Cut, line.Text))
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%.50q: %.200q, want %.200q", text, got, want)
			}
		}
	})
}
