"""A Flask service that tells what it got, and appends the body of each POST to the file RECORD."""

import os
import time
from pathlib import Path

import flask

app = flask.Flask(__name__)


@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE"])
@app.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
def echo(path: str) -> flask.Response:
    """What came in."""
    if flask.request.method == "POST":
        with Path(os.environ["RECORD"]).open("ab") as file:
            file.write(flask.request.get_data() + b"\n")
    return flask.jsonify(
        name=os.environ.get("NAME", ""),
        method=flask.request.method,
        path=flask.request.path,
        headers={name.lower(): value for name, value in flask.request.headers},
        protocol=flask.request.environ["SERVER_PROTOCOL"],
    )


@app.route("/events/<int:seconds>")
def events(seconds: int) -> flask.Response:
    """A stream of server-sent events: one at once, one every five seconds."""

    def stream():
        end = time.monotonic() + seconds
        number = 0
        while True:
            yield f"data: {number}\n\n"
            number += 1
            if time.monotonic() + 5 > end + 0.5:
                return
            time.sleep(5)

    return flask.Response(stream(), mimetype="text/event-stream")
