package main

import (
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	defer func(was string) { stamped = was }(stamped)
	if got := version(); got == "" || got == "v1.2.3" {
		t.Errorf("version %q", got)
	}
	stamped = "v1.2.3"
	if got := versionLine(); !strings.HasPrefix(got, "penstock v1.2.3 (go") {
		t.Errorf("%q", got)
	}
}
