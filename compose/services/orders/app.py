"""Orders. One image serves either API: set ORDERS_API to v1 or v2."""

import os

import api_v1
import api_v2
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from models import Base, engine

APIS = {"v1": api_v1.api, "v2": api_v2.api}

app = Flask(__name__)
app.json.sort_keys = False
api = APIS[os.environ.get("ORDERS_API", "v2")]
app.register_blueprint(api)
app.register_blueprint(api, url_prefix="/orders", name="orders")


@app.get("/healthz")
def healthz() -> ResponseReturnValue:
    return jsonify(status="ok")


@app.cli.command("init-db")
def init_db() -> None:
    """Create the tables that are missing."""
    Base.metadata.create_all(engine)
