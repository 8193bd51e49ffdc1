package lab

import (
	"encoding/hex"
	"net/http"
	"strconv"
)

// isLook reports whether a request asks what is stored, and stores nothing.
func isLook(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// look answers with all that is known of a stored name but the bytes, which are not kept: an answer
// to GET breaks off after its head.
func (x *exchange) look() {
	it, stored := x.ledger.item(Name(x.r.URL))
	if !stored {
		x.reply(http.StatusNotFound, "not stored\n")
		return
	}
	x.show(it)
}

// show answers with what is known of an item.
func (x *exchange) show(it item) {
	h := x.w.Header()
	h.Set("Content-Length", strconv.FormatInt(it.size, 10))
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+hex.EncodeToString(it.sum[:])+`"`)
	h.Set("Repr-Digest", digest(it.sum))
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodGet && it.size > 0 {
		http.NewResponseController(x.w).Flush()
		x.breakOff()
	}
}
