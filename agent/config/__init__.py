"""Settings: one declaration each, from which flag, variable, file key, default, help and JSON schema are
made.

``sections`` declares; ``sources`` reads flags, environment, file and defaults with that precedence; all
problems are reported at once. The environment and the flags are handed in by ``cli``: nothing here reads
``os.environ``."""
