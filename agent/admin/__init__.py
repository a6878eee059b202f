"""The agent's own HTTP API: status, probes, metrics, configuration for the service, drain.

It reads the cells that the other components write and calls nothing of theirs but what ``Sources`` names.
Only loopback names reach the API; the listeners for probes and for Prometheus serve nothing else.
"""
