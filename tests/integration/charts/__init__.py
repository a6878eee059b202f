"""The charts, rendered by the real Helm."""
