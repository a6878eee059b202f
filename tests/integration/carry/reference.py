"""The application below the standard library's server."""

import sys
from wsgiref.simple_server import make_server

from application import app  # type: ignore[import-not-found]

make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
