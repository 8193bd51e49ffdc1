package statedir

import (
	"strings"
	"testing"
)

func TestMountType(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 0:50 / /mnt/far rw,nosuid shared:9 master:1 - fuse.sshfs u@h:/ rw
37 22 0:51 / /mnt/with\040space rw - fuse.rclone r: rw
38 36 8:2 / /mnt/far/near rw - ext4 /dev/sdb1 rw
39 22 0:52 / /mnt/virt rw - virtiofs share rw
40 39 0:53 / /mnt/virt rw - fuse.glusterfs g rw
short line
`
	for dir, want := range map[string]string{
		"/":                     "ext4",
		"/mnt/farther":          "ext4",
		"/mnt/far":              "fuse.sshfs",
		"/mnt/far/a/b":          "fuse.sshfs",
		"/mnt/far/near/x":       "ext4",
		"/mnt/with space/state": "fuse.rclone",
		"/mnt/virt/x":           "fuse.glusterfs", // mounted over the other
	} {
		if got := mountType(strings.NewReader(mountinfo), dir); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
	if got := mountType(strings.NewReader(""), "/x"); got != "fuse" {
		t.Errorf("without mounts: %q", got)
	}
}
