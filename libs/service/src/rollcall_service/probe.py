"""python -m rollcall_service.probe [PATH [PORT]]

Whether this container's own HTTP port says that all is well, as an exit code: for a health check
in an image that has neither curl nor a shell. By default /healthz at MANAGEMENT_PORT.
"""

import os
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException

_WITHIN = 3.0  # seconds


def main(arguments: Sequence[str]) -> int:
    """0 for an answer of 2xx, 1 for another or none."""
    path = arguments[0] if arguments else "/healthz"
    port = arguments[1] if len(arguments) > 1 else os.environ["MANAGEMENT_PORT"]
    connection = HTTPConnection("127.0.0.1", int(port), timeout=_WITHIN)
    try:
        connection.request("GET", path)
        return 0 if 200 <= connection.getresponse().status < 300 else 1
    except (OSError, HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
