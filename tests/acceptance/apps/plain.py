"""Answers with its name; can be told to fail its health check; calls another service by HTTP_PROXY."""

import os
import time
from pathlib import Path

import requests
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
NAME = os.environ.get("NAME", "plain")
SICK = os.environ.get("SICK_FILE", "/nonexistent")


@app.after_request
def name(response: Response) -> Response:
    response.headers["X-Served-By"] = NAME
    return response


@app.get("/")
def index() -> Response:
    return jsonify(name=NAME, pid=os.getpid(), greeting=os.environ.get("GREETING", ""))


@app.get("/headers")
def headers() -> Response:
    return jsonify(dict(request.headers))


@app.get("/slow")
def slow() -> Response:
    time.sleep(float(request.args.get("seconds", "1")))
    return jsonify(name=NAME)


@app.get("/health")
def health() -> tuple[str, int]:
    sick = Path(SICK).exists() or os.environ.get("GREETING") == "bad"
    return ("sick", 503) if sick else ("well", 200)


@app.get("/call/<host>")
def call(host: str) -> tuple[Response, int]:
    answer = requests.get(f"http://{host}/{request.args.get('path', '')}", timeout=10)
    body = (
        answer.json()
        if answer.headers.get("content-type", "").startswith("application/json")
        else answer.text
    )
    return jsonify(
        status=answer.status_code, body=body, headers=dict(answer.headers), seen=dict(request.headers)
    ), 200
