"""Programs that the charts' Jobs run: standard library only, each one file that ``charts.generated`` copies.

They get a JSON file from a ConfigMap and the pod's service account, and talk to the Kubernetes API or to Consul.
"""
