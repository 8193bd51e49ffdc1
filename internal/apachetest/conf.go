package apachetest

import (
	"fmt"
	"path/filepath"
	"strings"
)

// modules are those that every configuration needs, in the order in which they are loaded.
var modules = []string{"mpm_event", "authz_core", "alias", "bw", "wsgi"}

// conf returns the configuration; relative paths in it are below the server's directory.
//
// The numbers of processes and threads, and keep-alive, are as Debian's packages set them.
func conf(dir, addr string, cfg Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("ServerName 127.0.0.1")
	line("Listen %s", addr)
	line("DefaultRuntimeDir %q", dir)
	line("PidFile httpd.pid")
	line("ErrorLog error.log")
	for _, module := range modules {
		line("LoadModule %s_module %s", module, moduleFile(module))
	}
	line("StartServers 2")
	line("MinSpareThreads 25")
	line("MaxSpareThreads 75")
	line("ThreadsPerChild 25")
	line("MaxRequestWorkers 150")
	line("Timeout 300")
	line("KeepAlive On")
	line("MaxKeepAliveRequests 100")
	line("KeepAliveTimeout 5")
	line(`LogFormat "%%{end:sec}t.%%{end:msec_frac}t 0.%%{ms}T %%>s 0 %%I %%m %%U" requests`) // as servertest.ReadLog wants it
	line("CustomLog access.log requests")

	line("WSGISocketPrefix wsgi")
	line("WSGIRestrictEmbedded On")
	// Users without privileges may have no home, where it would begin.
	daemon := fmt.Sprintf("WSGIDaemonProcess app processes=1 threads=5 home=%q", dir)
	if cfg.Backlog > 0 {
		daemon += fmt.Sprintf(" listen-backlog=%d", cfg.Backlog)
	}
	if cfg.ConnectTimeout > 0 {
		daemon += fmt.Sprintf(" connect-timeout=%d", cfg.ConnectTimeout)
	}
	line("%s", daemon)
	line("WSGIScriptAlias / %q process-group=app application-group=%%{GLOBAL}", filepath.Join(dir, "app.py"))
	line("<Directory %q>", dir)
	line("  Require all granted")
	line("</Directory>")

	if cfg.MaxConnection > 0 {
		line("BandWidthModule On")
		line("ForceBandWidthModule On")
		line("<Location /files/>")
		line("  BandWidth all %d", cfg.Bandwidth)
		line("  MinBandWidth all -1") // each connection has all of it
		line("  MaxConnection all %d", cfg.MaxConnection)
		line("  BandWidthPacket 1024")
		line("</Location>")
	}
	return b.String()
}
