"""What needs a real Kubernetes API server: ``make test-kubernetes`` runs it."""
