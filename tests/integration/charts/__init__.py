"""The charts, rendered by the real Helm; what they render is checked against Kubernetes' own schemas."""
