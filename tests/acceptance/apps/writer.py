"""Writes rows with SQLAlchemy and psycopg, as a Flask developer would; publishes nothing and handles no header."""

import os

from flask import Flask, Response, jsonify
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


engine = create_engine(os.environ["DATABASE_URL"])
app = Flask(__name__)


@app.post("/orders/<item>")
def create(item: str) -> tuple[Response, int]:
    with Session(engine) as session:
        order = Order(item=item)
        session.add(order)
        session.commit()
        return jsonify(id=order.id, item=order.item), 201


@app.get("/")
def index() -> str:
    return "writer"
