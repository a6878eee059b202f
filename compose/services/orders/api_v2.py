"""The second API: names as in the inventory, a total and a status that can be changed."""

import os
import socket

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue
from models import Order, Session
from stock import price_of

api = Blueprint("v2", __name__, url_prefix="/api/v2/orders")
INSTANCE = os.environ.get("INSTANCE", socket.gethostname())
STATUSES = ("placed", "paid", "shipped", "cancelled")


def shown(order: Order) -> dict[str, object]:
    return {
        "id": order.id,
        "sku": order.sku,
        "quantity": order.quantity,
        "total": order.total,
        "status": order.status,
        "served_by": INSTANCE,
    }


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
    sku, quantity = str(wanted["sku"]), int(wanted.get("quantity", 1))
    total = price_of(sku, quantity)
    with Session.begin() as session:
        order = Order(sku=sku, quantity=quantity, total=total)
        session.add(order)
        session.flush()
        return jsonify(shown(order)), 201


@api.patch("/<int:number>")
def change(number: int) -> ResponseReturnValue:
    status = request.get_json().get("status")
    if status not in STATUSES:
        abort(400, f"status is one of {', '.join(STATUSES)}")
    with Session.begin() as session:
        order = session.get(Order, number) or abort(404)
        order.status = status
        return jsonify(shown(order))
