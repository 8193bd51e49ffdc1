package journal

import (
	_ "github.com/gofrs/flock"
	_ "modernc.org/sqlite"
)
