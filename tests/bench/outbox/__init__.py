"""How fast the outbox's relay is, beside the ceilings of its driver and its clients, and beside Debezium Server.

Run as `make bench-outbox`. From real servers and relay processes to a table and JSON in ``build``. Nothing here is part
of a test run. ``pillion/relay.sh`` is how a bench of relays elsewhere starts ours.
"""
