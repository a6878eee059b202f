"""A Flask service that asks the service NEXT for the same path, and tells what came in on both sides."""

import os

import flask
import requests

app = flask.Flask(__name__)


@app.route("/")
def well() -> str:
    """An answer of its own."""
    return "well"


@app.route("/<path:path>")
def relay(path: str) -> flask.Response:
    """What came in here, and what the next service says."""
    answer = requests.get(f"http://{os.environ['NEXT']}/{path}", timeout=60)
    answer.raise_for_status()
    return flask.jsonify(
        headers={name.lower(): value for name, value in flask.request.headers}, next=answer.json()
    )
