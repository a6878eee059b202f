"""An attribute as a header's value, for the brokers whose headers are text.

Source: CloudEvents 1.0, HTTP and NATS protocol bindings, binary content mode (percent-encoding).
"""

import re
from urllib.parse import quote

_PLAIN = re.compile(r"[!#$&-~]*")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def encoded(value: str) -> str:
    """What is not printable ASCII, a space, a quote and a percent sign percent-encoded."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_SAFE, errors="replace")
