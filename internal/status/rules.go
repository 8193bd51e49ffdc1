package status

import (
	"errors"
	"fmt"
	"io"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/throttle"
)

// TroubleByRule is Trouble where the user's rules say what an answer means.
func TroubleByRule(e throttle.Event, ruled rules.Effect) string {
	switch {
	case e.Err != nil:
	case ruled == rules.Accept:
		return ""
	case ruled == rules.Reject:
		return Line(e.Status) + ", rejected by a rule"
	case ruled == rules.Retry:
		return Line(e.Status) + ", repeated by a rule"
	case ruled == rules.Throttle:
		return Line(e.Status) + ", throttled by a rule"
	}
	return Trouble(e)
}

// byRule says why an answer that may say the contrary did not deliver a file; "" where no rule is
// the reason.
func byRule(v rules.Verdict) string {
	switch {
	case v.NoMatch:
		return "it does not pass " + v.Rule
	case v.Effect == rules.Reject:
		return "rejected by " + v.Rule
	case v.Effect == rules.Retry:
		return "not taken yet, by " + v.Rule
	case v.Effect == rules.Throttle:
		return "too fast, by " + v.Rule
	case v.Effect == rules.Unread:
		why := Plain(v.Err)
		if errors.Is(v.Err, io.ErrUnexpectedEOF) {
			why = "it was cut off"
		}
		return fmt.Sprintf("its answer could not be read for %s: %s", v.Rule, why)
	}
	return ""
}

// ShamNote notes that an acceptance looks like none.
func ShamNote(sham reply.Sham) string {
	if sham == reply.Page {
		return "the answer is a web page"
	}
	return "the answer says that it failed"
}

// Shams says how many acceptances look like none.
func Shams(pages, failures int64) (notes []string) {
	if pages > 0 {
		notes = append(notes, fmt.Sprintf("%s of those delivered were answered with a web page: "+
			"check that they arrived", human.Count(pages)))
	}
	if failures > 0 {
		notes = append(notes, fmt.Sprintf("%s of those delivered have an answer that says that it "+
			"failed: the results name them; --reject success has such files fail",
			human.Count(failures)))
	}
	return notes
}

// Sham warns of an acceptance that looks like none.
func Sham(sham reply.Sham, path string, code int, text string) string {
	if sham == reply.Page {
		return path + ": the server answered 200 with a web page, " +
			"which may ask to sign in or show an error: check that the file arrived"
	}
	rule := "success" // the name of a set
	switch sham {
	case reply.Error:
		rule = fmt.Sprintf("'%d:.error|.==true or length>0'", code)
	case reply.Errors:
		rule = fmt.Sprintf("'%d:.errors|.==true or length>0'", code)
	}
	return fmt.Sprintf("%s: the server answered %d, but its text says that it failed: %s; "+
		"if so, give --reject %s", path, code, text, rule)
}
