"""Planned configurations in the real Envoy, under real traffic."""
