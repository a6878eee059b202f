"""What is in stock."""

import os
import socket
import threading

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue

STOCK = {
    "kettle": {"sku": "kettle", "name": "Kettle", "price": 3900, "available": 120},
    "teapot": {"sku": "teapot", "name": "Teapot", "price": 2450, "available": 80},
    "cup": {"sku": "cup", "name": "Cup", "price": 650, "available": 900},
}

app = Flask(__name__)
app.json.sort_keys = False
INSTANCE = os.environ.get("INSTANCE", socket.gethostname())


@app.get("/healthz")
def healthz() -> ResponseReturnValue:
    return jsonify(status="ok")


@app.get("/stock")
def stock() -> ResponseReturnValue:
    return jsonify(items=list(STOCK.values()), served_by=INSTANCE)


@app.get("/stock/<sku>")
def item(sku: str) -> ResponseReturnValue:
    if sku not in STOCK:
        abort(404, f"there is no {sku}")
    return jsonify(**STOCK[sku], served_by=INSTANCE)


EVENTS: dict[str, list[str]] = {}
LOCK = threading.Lock()


@app.post("/events/orders")
def order_event() -> ResponseReturnValue:
    """An order was made or changed. Who calls this, and how often, is not this service's concern."""
    with LOCK:
        EVENTS.setdefault(request.headers["ce-subject"], []).append(request.headers["ce-id"])
    return "", 204


@app.get("/events/<order>")
def order_events(order: str) -> ResponseReturnValue:
    with LOCK:
        return jsonify(events=EVENTS.get(order, []), served_by=INSTANCE)
