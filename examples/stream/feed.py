# Sends files through penstock, and says what became of each: python3 feed.py URL FILE…
import json, subprocess, sys, threading

url, *files = sys.argv[1:]
run = subprocess.Popen(["penstock", "send", "--manifest", "-", "--results", "-", "--to", url],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

def feed():
    try:
        with run.stdin:
            for file in files:
                print(json.dumps({"path": file, "key": file}), file=run.stdin, flush=True)
    except BrokenPipeError:
        pass  # the run has ended; its exit status says why

threading.Thread(target=feed).start()  # else one would wait for the other
for line in run.stdout:
    end = json.loads(line)
    print(end["line"], end["key"], end["status"], end["http_status"], end["error"])
sys.exit(run.wait())
