"""Fifty agents on one machine against one Consul: what Consul has to do for them, and what they take.

``agents`` starts them a few at a time, each behind a ``relay`` that gives it a source address of its own and counts
what it asks; ``envoy`` stands where each one's Envoy would; ``consul`` reads what Consul itself counts, and flaps an
instance. Real agents and a real Consul; run as ``make bench-fleet``, nothing here passes or fails.
"""
