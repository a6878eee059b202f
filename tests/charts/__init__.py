"""Writes what is generated in the charts: ``python -m tests.charts.generated``, which `make docs` runs.

A chart can only use files of its own folder. What several charts share, or what exists elsewhere in the checkout, is
therefore copied into each; the README's table and the values' schema come from the comments in its values.yaml. Nothing
here is imported by the agent.
"""
