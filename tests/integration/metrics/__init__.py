"""Metrics, rules and dashboard on real agents and with the real promtool."""
