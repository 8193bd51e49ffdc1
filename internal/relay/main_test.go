package relay

import (
	"os"
	"testing"

	"github.com/penstock/penstock/internal/memdir"
)

func TestMain(m *testing.M) { os.Exit(memdir.For(m).Run()) }
