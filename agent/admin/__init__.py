"""The agent's own HTTP API: status and its page, probes, metrics, configuration for the service, drain.

It reads the cells that the other components write and calls nothing of theirs but what ``Sources`` names.
What has no memory of its own is remembered for an hour by ``history``, in bounded memory; a gateway's ``neighbours``
asks the other agents who calls whom. ``page`` makes HTML of plain data, ``site`` has the page's style and script.
Only loopback names reach the API; the listeners for probes and for Prometheus serve nothing else.
"""
