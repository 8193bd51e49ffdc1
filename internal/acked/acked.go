// Package acked asks connections how many bytes have arrived.
package acked

import "net"

// Bytes returns how many bytes the other side of the connection has acknowledged since it was made,
// and whether that can be known. What waits in a buffer on this side is not among them.
//
// A connection may tell by a method of its own, Acked() int64, and a wrapper may have the wrapped
// one by NetConn() net.Conn, as [crypto/tls.Conn] has.
func Bytes(conn net.Conn) (bytes int64, ok bool) {
	for {
		switch c := conn.(type) {
		case interface{ Acked() int64 }:
			return c.Acked(), true
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return ofKernel(conn)
		}
	}
}
