"""The agent's own spans, and reading traces.

``spans``, ``export`` and ``otlp`` make and send the agent's spans: settings and the version come in, spans leave by
OTLP over HTTP. No global OpenTelemetry state is set: who makes spans is given the provider. Other capabilities take
OpenTelemetry's own ``Tracer`` and import nothing from here.

``jaeger`` and ``lookup`` read a request's spans, or those of the last minutes, from Jaeger's query API. What they
mean is decided by pure modules: ``traces`` (one span), ``tree`` (their order, on one clock), ``times`` (self time,
critical path), ``hops`` (one line a call), ``bottlenecks`` (many requests). Nothing is printed here.
"""
