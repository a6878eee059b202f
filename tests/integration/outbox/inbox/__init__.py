"""The inbox on real NATS and PostgreSQL, with a Flask consumer under gunicorn that knows nothing of it.

Only what has an inbox in it lives here; what ``rig`` starts is ended with the test.
"""
