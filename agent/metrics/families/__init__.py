"""The declarations, a module for each origin: the capabilities, the process, Envoy, Prometheus itself."""
