package nginxtest

import (
	"fmt"
	"os"
	"strings"
)

// logFormat is what [servertest.ReadLog] reads.
const logFormat = `$msec $request_time $status $connection $request_length $request_method $request_uri`

const readyPath = "/.nginxtest-ready"

// conf returns the configuration; relative paths in it are below the server's directory.
//
// Bodies are stored by the DAV module: it answers only after it has read the whole body and moved it to its name, whereas `return 201`
// would answer before the body is there. There is one worker: with two, a connection's end and the next one's begin could be counted in
// the wrong order, and a client that is never in the wrong be refused.
func conf(addr string, cfg Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("daemon off;")
	if os.Geteuid() == 0 {
		line("user root;") // else the worker becomes nobody, who cannot write to the directory
	}
	line("worker_processes 1;")
	line("pid nginx.pid;")
	line("error_log error.log error;")
	line("events { worker_connections 1024; }")
	line("http {")
	line("  log_format requests '%s';", logFormat)
	line("  access_log access.log requests;")
	for _, module := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		line("  %s_temp_path tmp-%s;", module, module)
	}
	line("  client_max_body_size 0;")
	if cfg.Rate > 0 {
		line("  limit_req_zone $binary_remote_addr zone=requests:1m rate=%dr/s;", cfg.Rate)
		if cfg.Refusal != 0 {
			line("  limit_req_status %d;", cfg.Refusal)
		}
	}
	if cfg.Conns > 0 {
		line("  limit_conn_zone $binary_remote_addr zone=connections:1m;")
		line("  limit_conn_status 503;")
	}
	if cfg.RetryAfter != "" {
		line("  map $status $retry_after { 429 '%s'; 503 '%[1]s'; default ''; }", cfg.RetryAfter)
		line("  add_header Retry-After $retry_after always;") // an empty value sends no header
	}
	line("  server {")
	if cfg.TLS {
		line("    listen %s ssl;", addr)
		line("    ssl_certificate cert.pem;")
		line("    ssl_certificate_key key.pem;")
	} else {
		line("    listen %s;", addr)
	}
	line("    location = %s { access_log off; return 204; }", readyPath)
	line("    location / {")
	if cfg.Proxy != "" {
		line("      proxy_pass %s;", cfg.Proxy)
		if cfg.ProxyTimeout > 0 {
			line("      proxy_read_timeout %dms;", cfg.ProxyTimeout.Milliseconds())
		}
	} else {
		line("      root files;")
		line("      dav_methods PUT DELETE;")
		line("      create_full_put_path on;")
	}
	if cfg.Rate > 0 {
		burst := ""
		if cfg.Burst > 0 {
			burst = fmt.Sprintf(" burst=%d nodelay", cfg.Burst)
		}
		line("      limit_req zone=requests%s;", burst)
	}
	if cfg.Conns > 0 {
		line("      limit_conn connections %d;", cfg.Conns)
	}
	line("    }")
	line("  }")
	line("}")
	return b.String()
}
