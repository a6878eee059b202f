"""The commands of README.md and docs/, typed into a shell beside a real system, page by page: ``make test-pages``.

``tests.unit.docs`` finds them and compares what they print. ``world`` is the demo's system with a shell's environment
for it, ``session`` the shell, ``table`` what a page needs beside that, ``stands`` how it is made. A documented port or
address becomes the one of this system; nothing else of a command is changed but what ``table`` says.
"""
