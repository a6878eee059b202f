"""Stories told with whole agents as processes, on real Consul, Envoy, PostgreSQL, NATS, Jaeger and gunicorn."""
