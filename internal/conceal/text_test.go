package conceal

import "testing"

// expect checks what becomes of texts: each case is one, and what is wanted.
func expect(t *testing.T, f func(string) string, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		if got := f(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
}
