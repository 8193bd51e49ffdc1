package form

import (
	"path/filepath"
	"strings"
)

// UnknownType is the media type of what has no better one.
const UnknownType = "application/octet-stream"

// ContentType returns the media type for a file's name by its extension, from a table of our own so
// that it is the same on every system; [UnknownType] for all others. Text has no
// charset: the file's is not known.
func ContentType(name string) string {
	if t, ok := contentTypes[strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))]; ok {
		return t
	}
	return UnknownType
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
