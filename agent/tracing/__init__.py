"""The agent's own spans (``spans``) and reading traces from Jaeger (``jaeger``).

Settings and the version come in; spans leave by OTLP over HTTP. No global OpenTelemetry state is set: who
makes spans is given the provider. Other capabilities take OpenTelemetry's own ``Tracer`` and import nothing
from here.
"""
