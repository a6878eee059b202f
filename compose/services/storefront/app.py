"""The shop's front: what there is, and buying it."""

import json
import os

import requests
from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue

INVENTORY = os.environ.get("INVENTORY_URL", "http://inventory")
ORDERS = os.environ.get("ORDERS_URL", "http://orders")

app = Flask(__name__)
app.json.sort_keys = False
app.config.from_mapping(GREETING="Welcome to the shop", DISCOUNT=0)
if "STOREFRONT_SETTINGS" in os.environ:
    app.config.from_file(os.environ["STOREFRONT_SETTINGS"], load=json.load, silent=True)


def reduced(price: int) -> int:
    return price * (100 - int(app.config["DISCOUNT"])) // 100


@app.get("/healthz")
def healthz() -> ResponseReturnValue:
    return jsonify(status="ok")


@app.get("/shop")
def shop() -> ResponseReturnValue:
    stock = requests.get(f"{INVENTORY}/stock", timeout=5)
    stock.raise_for_status()
    orders = requests.get(f"{ORDERS}/api/v2/orders", timeout=5)
    orders.raise_for_status()
    items = [{**item, "price": reduced(item["price"])} for item in stock.json()["items"]]
    page = {"greeting": app.config["GREETING"], "items": items, "orders": orders.json()["orders"]}
    if request.accept_mimetypes.best == "text/html":
        return render_template("shop.html", **page)
    return jsonify(page)


@app.get("/shop/greeting")
def greeting() -> ResponseReturnValue:
    return jsonify(greeting=app.config["GREETING"])


@app.post("/shop/checkout")
def checkout() -> ResponseReturnValue:
    wanted = request.get_json()
    answer = requests.post(f"{ORDERS}/api/v2/orders", json=wanted, timeout=10)
    return jsonify(answer.json() if answer.ok else {"error": answer.reason}), answer.status_code
