"""Consul: this instance's registration and health, the catalogue of the others, configuration from KV.

In: settings, and in ``Latest`` cells what Envoy accepted and whether the instance is leaving or drained. Out:
``Latest`` cells with the catalogue, the registration, the service's health, the configuration store and the
overridden settings. ``delivery`` brings the store to the service: the file, then a signal, a ``command``, or one of the
``restarts`` that the fleet takes turns at. Only ``client`` and ``transport`` speak HTTP with Consul; what comes from
there is hostile until it is read: the catalogue by ``decode``, the store by ``kv``, the fleet's lock by ``lock``.
"""
