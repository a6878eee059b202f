"""An application that starts slowly and prints when it began, answered and was told to end: a JSON line each.

``python steps.py PORT SECONDS``: it listens after SECONDS.
"""

import http.server
import json
import signal
import sys
import threading
import time


def say(what: str) -> None:
    sys.stdout.write(json.dumps({"what": what, "at": time.time()}) + "\n")
    sys.stdout.flush()


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/healthz":
            say("request")
        body = b'{"served_by": "steps"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Only what happens at known times is printed."""


say("started")
time.sleep(float(sys.argv[2]))
server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Answers)


def end(*_: object) -> None:
    say("told to end")
    threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, end)
say("listening")
server.serve_forever()
say("ended")
