"""Asking the inventory service."""

import os

import requests
from flask import abort

INVENTORY = os.environ.get("INVENTORY_URL", "http://inventory")


def price_of(sku: str, quantity: int) -> int:
    """What so many pieces cost, in cents; answers the request itself when there are not that many."""
    answer = requests.get(f"{INVENTORY}/stock/{sku}", timeout=5)
    if answer.status_code == 404:
        abort(404, f"there is no {sku}")
    answer.raise_for_status()
    item = answer.json()
    if quantity > item["available"]:
        abort(409, f"only {item['available']} of {sku} are left")
    return item["price"] * quantity
