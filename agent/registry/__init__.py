"""Consul: this instance's registration and health, the catalogue of the others, configuration from KV.

In: settings, and in ``Latest`` cells what Envoy accepted and whether the instance is leaving. Out:
``Latest`` cells with the catalogue, the registration, the service's health, the configuration store and the
overridden settings. Only ``client`` and ``transport`` speak HTTP with Consul; what comes from there is
hostile until ``decode`` has seen it.
"""
