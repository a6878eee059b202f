"""What Prometheus itself knows of each target, and the labels that its configuration gives."""

from agent.metrics.declare import Kind, Metric, Unit, Where

UP = Metric("up", Kind.GAUGE, "1 while the target answers its scrape.", Unit.TRUTH, where=Where.PROMETHEUS)

ALL = (UP,)

SCRAPE = ("job", "service", "instance")
"""Labels of every series: ``job`` is ``pillion``, ``service`` and ``instance`` name whose agent it is."""
