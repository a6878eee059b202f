"""Services as Envoy meets them."""
