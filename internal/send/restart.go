package send

import (
	"sync"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/wire"
)

// large is the size from which on the bytes of a file are followed: a smaller one arrives before
// the progress is drawn again.
const large = 1 << 20

// tellRestart is for how long a file that is sent again is named. The bytes shown have fallen back
// by what was sent of it.
const tellRestart = 10 * time.Second

// restart is the last large file that was sent again from its beginning.
type restart struct {
	mu        sync.Mutex
	name, why string
	at        time.Time
}

// again notes that a job is sent once more, if much of it had arrived.
func (r *run) again(j *job, why string) {
	if up, _ := r.uploads.Get(j); up.Done >= large {
		r.restart.mu.Lock()
		defer r.restart.mu.Unlock()
		r.restart.name, r.restart.why, r.restart.at = up.Name, why, time.Now()
	}
}

// last returns which file is sent again from its beginning, and why, if that began a short time
// ago: fewer bytes are shown than before.
func (r *restart) last(now time.Time) (name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.at) >= tellRestart {
		return "", ""
	}
	return r.name, r.why
}

// underway returns the uploads as they are shown.
func underway(uploads []wire.Upload) (files []progress.Underway) {
	for _, u := range uploads {
		files = append(files, progress.Underway{Name: u.Name, Done: u.Done, Size: u.Size})
	}
	return files
}
