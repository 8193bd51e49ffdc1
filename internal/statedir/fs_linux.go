package statedir

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The magic numbers of statfs(2) that matter here.
var fileSystems = map[uint32]string{
	0x01021997: "9p",
	0x5346414f: "afs",
	0x6b414653: "afs",
	0x00c36400: "ceph",
	0xff534d42: "cifs",
	0xfe534d42: "cifs",
	0x73757245: "coda",
	0x47504653: "gpfs",
	0x0bd00bd0: "lustre",
	0x0000564c: "ncp",
	0x00006969: "nfs",
	0x0000517b: "smb",
	0x61756673: "aufs",
	0x794c7630: "overlay",
	0x858458f6: "ramfs",
	0x01021994: "tmpfs",
	0x65735546: "fuse",
}

// FileSystem names the file system that dir, or the nearest directory above it, is on: "" if it is
// none of those that matter.
func FileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	var st unix.Statfs_t
	for unix.Statfs(dir, &st) != nil {
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
	name := fileSystems[uint32(st.Type)]
	if name == "fuse" {
		if f, err := os.Open("/proc/self/mountinfo"); err == nil {
			defer f.Close()
			if real, err := filepath.EvalSymlinks(dir); err == nil {
				dir = real
			}
			name = mountType(f, dir)
		}
	}
	return name
}

// mountType returns the type of the mount that holds dir, such as "fuse.sshfs", from what proc(5)
// says of mountinfo.
func mountType(mountinfo io.Reader, dir string) string {
	best, kind := "", "fuse"
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		// 36 35 98:0 / /mnt/point options [tags…] - type source superoptions
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		point := unescape.Replace(fields[4])
		inside := dir == point || strings.HasPrefix(dir, strings.TrimSuffix(point, "/")+"/")
		if inside && len(point) >= len(best) {
			best = point
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
