"""The images of the Compose file where no registry can be reached: ``python -m tests.compose.standins``.

``table`` names every image once. ``make`` looks for each in Docker, then pulls it, and only then builds a
stand-in from its folder in ``images``: Debian by ``debian``, programs by ``agent.demo.obtain``, and what only
this machine knows, such as the certificate of a proxy, by ``host``. ``engine`` is Docker's command line.
A stand-in has the official image's name and the label ``dev.pillion.stand-in``.
"""
