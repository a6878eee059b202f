"""The application with ddtrace, as a service switches it on in its own code; nothing is sent anywhere."""

import ddtrace.auto
from application import app  # type: ignore[import-not-found]

__all__ = ["app", "ddtrace"]
