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
    """A stream of server-sent events for so long: one at once, one every five seconds."""

    def stream():
        yield "data: 0\n\n"
        for number in range(1, seconds // 5 + 1):
            time.sleep(5)
            yield f"data: {number}\n\n"

    return flask.Response(stream(), mimetype="text/event-stream")
