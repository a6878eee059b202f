"""The injector as a process, with a small API server of the tests' own; the real one is asked in tests/kubernetes."""
