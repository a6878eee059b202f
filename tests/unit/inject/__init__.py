"""Injection into Kubernetes pods."""
