"""The other end of an outbox: messages of a broker are posted to an unmodified service, one of a key at a time.

Messages come in from a source (``sources/``, a module a broker), each partition of a topic by the one instance that
holds its lease (``shares``, ``book``); they leave as HTTP requests to the service (``poster``). What was done is
remembered in the consumer's database (``ledger``, ``schema.sql``) after the service's answer and before the broker's
acknowledgement. ``inbox`` is the component, ``holding`` the time that a partition is held, ``session`` that with one
connection to the broker. Pure: ``message``, ``verdict``, ``lines``, ``shares``. What the relay needs to publish has no
place here.
"""
