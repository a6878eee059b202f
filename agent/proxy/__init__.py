"""Envoy: what it is to do and how it is told.

``planner`` (pure) turns catalogue and settings into a ``Snapshot``; ``xds`` delivers it over ADS on a unix
socket; ``admin`` talks to Envoy's own admin socket; ``bootstrap`` and ``process`` start it. Envoy's static
fragments are YAML data from the top-level folder ``envoy``, found by ``assets``. Nothing here reads Consul.
"""
