"""The application with sentry's tracing, which sends nothing anywhere."""

import sentry_sdk
from application import app  # type: ignore[import-not-found]

sentry_sdk.init(dsn=None, traces_sample_rate=1.0, trace_propagation_targets=[".*"])

__all__ = ["app"]
