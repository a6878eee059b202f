"""The slowest kind of upstream: a Flask application."""

import flask

app = flask.Flask(__name__)


@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def hello(path: str) -> str:
    """A few bytes, whatever the path."""
    return "hello\n"
