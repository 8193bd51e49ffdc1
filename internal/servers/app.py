"""The upload service that the tests send to.

It works on a request for a while, stores the file and remembers how often.
"""

import hashlib
import threading
import time

from flask import Flask, jsonify, request

WAIT, CPU = {{.Wait.Seconds}}, {{.CPU.Seconds}}  # seconds
LIMIT, RECEIPT = {{.Limit}}, {{.Receipt}}

application = Flask(__name__)
lock = threading.Lock()  # protects the two below
stored = {}
working = {}  # requests worked on, by identity


def work(wait):
    """Waits, as for a database, and computes."""
    time.sleep(wait)
    end = time.thread_time() + CPU
    while time.thread_time() < end:
        pass


@application.route("/files/<path:name>", methods=["PUT", "POST"])
def upload(name):
    identity = request.headers.get("Authorization") or request.remote_addr
    with lock:
        if 0 < LIMIT <= working.get(identity, 0):
            return "Only %d concurrent request(s) allowed\n" % LIMIT, 429
        working[identity] = working.get(identity, 0) + 1
    try:
        body = request.get_data()
        work(WAIT)
        with lock:
            times = stored.get(name, {"times": 0})["times"] + 1
            stored[name] = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "times": times}
    finally:
        with lock:
            working[identity] -= 1
    return "r" * RECEIPT + "\n", 201


@application.route("/consume")
def consume():
    work(float(request.args["wait"]))
    return "consumed\n"


@application.route("/stored")
def ledger():
    with lock:
        return jsonify(stored)
