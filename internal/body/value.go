package body

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strconv"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/template"
)

// sums are the digests of a content, as far as they are known.
type sums struct{ sha256, md5 []byte }

// wants reports which digests of the content are to be known.
func (b *Body) wants() (sha256, md5 bool) {
	has := func(name string) bool { return slices.Contains(b.options.Vars, name) }
	return b.options.ContentDigest || has("sha256") || has("sha256_base64"),
		has("md5") || has("md5_base64")
}

// known reports whether the digests that are wanted are known.
func (b *Body) known() bool {
	sha256, md5 := b.wants()
	return (b.sums.sha256 != nil || !sha256) && (b.sums.md5 != nil || !md5)
}

// digests reads the content as it was seen, records its digests and returns the Content-Digest of
// the request's body (RFC 9530), if that is sent along.
func (b *Body) digests(ctx context.Context) (field string, err error) {
	wantSHA256, wantMD5 := b.wants()
	if !wantSHA256 && !wantMD5 {
		return "", nil
	}
	var found sums
	var all hashes
	if wantSHA256 {
		all = append(all, into{sha256.New(), &found.sha256})
	}
	if wantMD5 {
		all = append(all, into{md5.New(), &found.md5})
	}
	open := func() (io.ReadCloser, error) { return b.openContent(ctx, b.seen) }
	if b.isText() {
		whole, err := b.opener()
		if err != nil {
			return "", err
		}
		open = func() (io.ReadCloser, error) { return whole(ctx) }
	}
	if err := digest.Hash(ctx, all, open); err != nil {
		return "", err
	}
	for _, h := range all {
		*h.to = h.Sum(nil)
	}
	b.sums, b.body = found, nil
	if !b.options.ContentDigest {
		return "", nil
	}
	sum := [sha256.Size]byte(found.sha256)
	if b.composed != nil {
		whole, err := b.opener()
		if err == nil {
			sum, err = digest.SHA256(ctx, func() (io.ReadCloser, error) { return whole(ctx) })
		}
		if err != nil {
			b.sums = sums{}
			return "", err
		}
	}
	return digest.Field(sum), nil
}

// isText reports whether the content is the text of the body, with values that the item's content
// does not have, and no file.
func (b *Body) isText() bool { return b.composed != nil && b.item.NoFile() && !b.IsForm() }

// hashes are written to together.
type hashes []into

type into struct {
	hash.Hash
	to *[]byte
}

func (all hashes) Write(p []byte) (int, error) {
	for _, h := range all {
		h.Write(p)
	}
	return len(p), nil
}

// SHA256 returns the content's SHA-256; nil if that is not sent along or not known.
func (b *Body) SHA256() []byte {
	if b == nil || !b.options.ContentDigest {
		return nil
	}
	return b.sums.sha256
}

// Value returns the value of a variable for the content as it was seen.
func (b *Body) Value(name string) (template.Value, bool) {
	v, ok := b.item.Value(name)
	if _, own := b.item.Fields[name]; name == "size" && !own && b.isText() && b.body != nil {
		v.Text = strconv.FormatInt(b.body.Length(), 10)
	}
	if !ok || v.Kind != template.Later {
		return v, ok
	}
	var sum []byte
	encode := hex.EncodeToString
	switch name {
	case "base64":
		return template.Value{Kind: template.Content}, true
	case "uuid":
		return template.Value{Text: b.options.UUID}, true
	case "sha256":
		sum = b.sums.sha256
	case "md5":
		sum = b.sums.md5
	case "sha256_base64":
		sum, encode = b.sums.sha256, base64.StdEncoding.EncodeToString
	case "md5_base64":
		sum, encode = b.sums.md5, base64.StdEncoding.EncodeToString
	}
	if sum == nil {
		return v, true
	}
	return template.Value{Text: encode(sum)}, true
}
