package source

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"path/filepath"
	"strings"
	"sync"
)

// FormBody makes a multipart/form-data body (RFC 7578) with one part: the item's file, under the given field name.
//
// Each call of open calls openFile and streams what it gives. All bodies of an item have the same bytes, as many as length says, for as long as
// the process lives. What openFile returns should fail its Close when the file has changed. It is closed, and its length compared with
// the item's, before the body's last bytes are given out: the server never gets a whole body of a file that changed.
//
// contentType is for the request, and must win over a Content-Type in the item's Header.
func FormBody(field string, item Item, openFile func() (io.ReadCloser, error)) (
	open func() (io.ReadCloser, error), length int64, contentType string,
) {
	// A boundary that can be worked out from the item would let whoever writes the file forge further fields.
	id := sha256.Sum256([]byte(boundaryKey() + item.Method + " " + item.URL + " " + item.Path))
	boundary := hex.EncodeToString(id[:24])
	name := strings.ToValidUTF8(filepath.Base(item.Path), "\ufffd")
	head := "--" + boundary + "\r\n" +
		"Content-Disposition: " + multipart.FileContentDisposition(field, name) + "\r\n" +
		"Content-Type: " + ContentType(name) + "\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	open = func() (io.ReadCloser, error) {
		f, err := openFile()
		if err != nil {
			return nil, err
		}
		b := &formBody{head: head, tail: tail, file: f, left: item.Size, path: item.Path}
		b.close = sync.OnceValue(f.Close)
		return b, nil
	}
	return open, int64(len(head)) + item.Size + int64(len(tail)), "multipart/form-data; boundary=" + boundary
}

var boundaryKey = sync.OnceValue(rand.Text)

// A formBody is read by one goroutine; Close may come from another meanwhile, as net/http does it.
type formBody struct {
	head, tail string // what is still to be given out
	file       io.Reader
	left       int64 // bytes that the file still owes
	path       string
	ended      bool // the file ended as it should
	err        error
	close      func() error
}

func (b *formBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.head)
	b.head = b.head[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	if !b.ended {
		n, err := b.file.Read(p)
		b.left -= int64(n)
		switch {
		case b.left < 0 || err == io.EOF && b.left > 0:
			// What closing says is better known to the caller, if it noticed too.
			if b.err = b.close(); b.err == nil {
				b.err = fmt.Errorf("source: %s changed while it was sent", printable(b.path))
			}
			return 0, b.err
		case err == io.EOF:
			b.ended = true
			b.err = b.close()
		case err != nil:
			b.err = err
		}
		if n > 0 || b.err != nil {
			return n, b.err
		}
		if !b.ended {
			return 0, nil
		}
	}
	n = copy(p, b.tail)
	b.tail = b.tail[n:]
	if b.tail == "" {
		b.err = io.EOF
	}
	return n, b.err
}

// Close closes the file, once.
func (b *formBody) Close() error { return b.close() }

// ContentType returns the media type for a file's name by its extension, from a table of our own so that it is the same on every
// system; application/octet-stream for all others. Text has no charset: the file's is not known.
func ContentType(name string) string {
	if t, ok := contentTypes[strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))]; ok {
		return t
	}
	return "application/octet-stream"
}

// Names as IANA registers them, where it does.
var contentTypes = map[string]string{
	"7z":      "application/x-7z-compressed",
	"aac":     "audio/aac",
	"avi":     "video/x-msvideo",
	"avif":    "image/avif",
	"avro":    "application/vnd.apache.avro",
	"bmp":     "image/bmp",
	"bz2":     "application/x-bzip2",
	"cbor":    "application/cbor",
	"css":     "text/css",
	"csv":     "text/csv",
	"dcm":     "application/dicom",
	"doc":     "application/msword",
	"docx":    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"eml":     "message/rfc822",
	"epub":    "application/epub+zip",
	"flac":    "audio/flac",
	"geojson": "application/geo+json",
	"gif":     "image/gif",
	"gml":     "application/gml+xml",
	"gpkg":    "application/geopackage+sqlite3",
	"gpx":     "application/gpx+xml",
	"gz":      "application/gzip",
	"h5":      "application/x-hdf5",
	"heic":    "image/heic",
	"htm":     "text/html",
	"html":    "text/html",
	"ics":     "text/calendar",
	"jpeg":    "image/jpeg",
	"jpg":     "image/jpeg",
	"js":      "text/javascript",
	"json":    "application/json",
	"jsonl":   "application/x-ndjson",
	"jsonld":  "application/ld+json",
	"kml":     "application/vnd.google-earth.kml+xml",
	"log":     "text/plain",
	"m4a":     "audio/mp4",
	"md":      "text/markdown",
	"mov":     "video/quicktime",
	"mp3":     "audio/mpeg",
	"mp4":     "video/mp4",
	"nc":      "application/x-netcdf",
	"ndjson":  "application/x-ndjson",
	"odt":     "application/vnd.oasis.opendocument.text",
	"ogg":     "audio/ogg",
	"parquet": "application/vnd.apache.parquet",
	"pdf":     "application/pdf",
	"png":     "image/png",
	"ppt":     "application/vnd.ms-powerpoint",
	"pptx":    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":      "application/postscript",
	"rdf":     "application/rdf+xml",
	"rtf":     "application/rtf",
	"sql":     "application/sql",
	"sqlite":  "application/vnd.sqlite3",
	"svg":     "image/svg+xml",
	"tar":     "application/x-tar",
	"tgz":     "application/gzip",
	"tif":     "image/tiff",
	"tiff":    "image/tiff",
	"tsv":     "text/tab-separated-values",
	"ttl":     "text/turtle",
	"txt":     "text/plain",
	"vcf":     "text/vcard",
	"wasm":    "application/wasm",
	"wav":     "audio/wav",
	"webm":    "video/webm",
	"webp":    "image/webp",
	"xhtml":   "application/xhtml+xml",
	"xls":     "application/vnd.ms-excel",
	"xlsx":    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml":     "application/xml",
	"xz":      "application/x-xz",
	"yaml":    "application/yaml",
	"yml":     "application/yaml",
	"zip":     "application/zip",
	"zst":     "application/zstd",
}
