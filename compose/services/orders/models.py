"""The tables of the orders service."""

import os
from datetime import datetime

from sqlalchemy import String, create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(String(40))
    quantity: Mapped[int]
    total: Mapped[int]
    """In cents."""
    status: Mapped[str] = mapped_column(String(20), default="placed")
    created: Mapped[datetime] = mapped_column(server_default=func.now())
