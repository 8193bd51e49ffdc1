package bulk

import (
	"os"
	"strings"
	"testing"
)

// A digest of the example's file is a variable, wherever it stands, and no secret.
func TestDigestsOfTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a", []byte("hello\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const (
		sha    = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
		md     = "b1946ac92492d2347c6235b4d2611184"
		sha64  = "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM="
		md64   = "sZRqySSS0jR8YjW00mERhA=="
		other  = "6891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
		other5 = "c1946ac92492d2347c6235b4d2611184"
	)
	for text, want := range map[string]string{
		"-T a -H 'X-Fixity: " + sha + "' https://h/":             "-H 'X-Fixity: {sha256}'",
		"-T a -H 'X-Fixity: " + strings.ToUpper(md) + "' h/":     "-H 'X-Fixity: {md5}'",
		"-T a -H 'X-Fixity: md5:" + md + ";v=1' h/":              "-H 'X-Fixity: md5:{md5};v=1'",
		"-T a -H 'X-Sign: " + sha64 + "' h/":                     "-H 'X-Sign: {sha256_base64}'",
		"-T a -H 'X-Goog-Hash: md5=" + md64 + "' h/":             "md5={md5_base64}'",
		"-T a https://h/blobs/" + sha:                            "--to 'https://h/blobs/{sha256}'",
		"-T a https://h/" + sha[:2] + "/" + sha + "/x/":          "/{sha256}/x/",
		"-T a 'https://h/x/?digest=sha256:" + sha + "'":          "?digest=sha256:{sha256}'",
		"-T a 'https://h/x/?sum=" + md64[:22] + "%3D%3D'":        "?sum={md5_base64}'",
		"-F a=@a -F fixity=" + md + " h":                         "-F 'fixity={md5}'",
		"-F a=@a -F token=" + sha + " h":                         "-F 'token={sha256}'",
		`--json '{"d":"'"$(base64 a)"'","s":"` + sha64 + `"}' h`: `"s":"{sha256_base64}"`,
		`-d d="$(base64 a)" -d s=` + md + ` h`:                   "-F 's={md5}'",
		"-T a -H 'X-Fixity: " + sha + "0' h/":                    "X-Fixity: " + sha + "0'",
		"-T a -H 'X-Consumer: " + other5 + "' h/":                "'X-Consumer: " + other5 + "'",
		"-T a -H 'X-Checksum: " + other + "' h/":                 "-H 'X-Checksum: {sha256}'",
		"-T n -H 'X-Digest: sha-256=:" + sha64 + ":' h/":         "-256=:{sha256_base64}:'",
		"-T n -H 'X-MD5: " + md64 + "' h/":                       "-H 'X-MD5: {md5_base64}'",
		"-T n https://h/blobs/" + sha + "/":                      "# If " + sha + " in the URL",
	} {
		if got := script(t, "curl "+text); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in\n%s", text, want, got)
		}
	}
	if got := script(t, "curl -T n -H 'X-Checksum: "+md+"' h/"); !strings.Contains(
		strings.ReplaceAll(got, "\n#  ", ""), "X-Checksum belongs to one file. It is {md5} now") {
		t.Error(got)
	}
}
