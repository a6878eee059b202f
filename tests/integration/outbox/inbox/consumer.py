"""A consumer as anybody would write it: it does what an event says, and writes down that it was called."""

import collections
import json
import os
import threading
import time
from pathlib import Path

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

app = Flask(__name__)
CALLS = os.environ["CALLS"]
before: collections.Counter[str] = collections.Counter()
lock = threading.Lock()


@app.post("/events/<name>")
def event(name: str) -> ResponseReturnValue:
    """Answer as the event's data wants: a list of answers, one a call; after the last all is well. ``seconds`` pass
    before that, and a ``gate`` is waited for until the test opens it."""
    data = json.loads(request.get_data() or b"{}")
    identity = request.headers["ce-id"]
    with lock:
        number = before[identity]
        before[identity] += 1
    note("begin", identity, name, number)
    time.sleep(data.get("seconds", 0))
    while "gate" in data and not Path(f"{CALLS}.{data['gate']}").exists():
        time.sleep(0.02)
    note("end", identity, name, number)
    answers = data.get("answers", [])
    answer = answers[number] if number < len(answers) else 200
    if isinstance(answer, str):
        return jsonify(status=answer)
    return "", answer


def note(what: str, identity: str, name: str, number: int) -> None:
    """One line, written at once."""
    line = {
        "what": what, "id": identity, "name": name, "call": number, "key": request.headers.get("ce-partitionkey"),
        "headers": dict(request.headers), "at": time.monotonic(),
    }  # fmt: skip
    file = os.open(CALLS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)
