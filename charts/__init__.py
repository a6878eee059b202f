"""The Helm charts: pillion (injector and gateway), infrastructure (Consul, Jaeger, NATS, PostgreSQL), service (one
Flask service).

A chart can only use files of its own folder. What several charts share, or what exists elsewhere in the checkout, is
therefore copied into each chart by ``generated``, with the README's tables and the values' schemas; ``scripts`` holds
the sources of what the charts' Jobs run. Nothing here is imported by the agent or shipped in its wheel.
"""
