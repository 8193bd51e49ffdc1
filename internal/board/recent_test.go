package board

import (
	"fmt"
	"testing"
)

func TestRecent(t *testing.T) {
	var r Recent
	if got := r.List(); got == nil || len(got) > 0 {
		t.Errorf("%#v", got)
	}
	for i := range 50 {
		r.Add(Failure{What: fmt.Sprint(i)})
	}
	got := r.List()
	if len(got) != maxRecent || got[0].What != "49" || got[maxRecent-1].What != "30" {
		t.Errorf("%v", got)
	}
}
