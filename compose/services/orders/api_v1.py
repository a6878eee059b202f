"""The first API: one item an order, called `item` and `amount`."""

import os
import socket

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue
from models import Order, Session
from stock import price_of

api = Blueprint("v1", __name__, url_prefix="/api/v1/orders")
INSTANCE = os.environ.get("INSTANCE", socket.gethostname())


def shown(order: Order) -> dict[str, object]:
    return {"id": order.id, "item": order.sku, "amount": order.quantity, "served_by": INSTANCE}


@api.get("")
def index() -> ResponseReturnValue:
    with Session() as session:
        newest = session.query(Order).order_by(Order.id.desc()).limit(10)
        return jsonify(orders=[shown(order) for order in newest], served_by=INSTANCE)


@api.get("/<int:number>")
def show(number: int) -> ResponseReturnValue:
    with Session() as session:
        order = session.get(Order, number) or abort(404)
        return jsonify(shown(order))


@api.post("")
def create() -> ResponseReturnValue:
    wanted = request.get_json()
    sku, quantity = str(wanted["item"]), int(wanted["amount"])
    total = price_of(sku, quantity)
    with Session.begin() as session:
        order = Order(sku=sku, quantity=quantity, total=total)
        session.add(order)
        session.flush()
        return jsonify(shown(order)), 201
