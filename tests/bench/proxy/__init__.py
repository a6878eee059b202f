"""What Envoy costs as Pillion configures it, beside a hand-written minimal configuration of the same hops.

Run as `make bench-proxy`. From planned snapshots, nginx, gunicorn and wrk to a table and JSON in
``build``. Nothing here is part of a test run.
"""
