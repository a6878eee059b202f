"""What is in stock."""

import os
import socket

from flask import Flask, abort, jsonify
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
