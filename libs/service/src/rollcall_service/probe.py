"""python -m rollcall_service.probe [PATH [PORT]]

Whether this container's own HTTP port says that all is well, as an exit code: for a health check
in an image that has neither curl nor a shell. By default /healthz at MANAGEMENT_PORT.

It runs every few seconds in every container, so it speaks HTTP by itself: the standard library's
client takes three times as long to import.
"""

import os
import socket
import sys
from collections.abc import Sequence

_WITHIN = 3.0  # seconds for each step


def main(arguments: Sequence[str]) -> int:
    """0 for an answer of 2xx, 1 for another or none."""
    path = arguments[0] if arguments else "/healthz"
    port = arguments[1] if len(arguments) > 1 else os.environ["MANAGEMENT_PORT"]
    try:
        status = _status_line(path, int(port)).split(b" ")[1]
        return 0 if status.startswith(b"2") else 1
    except (OSError, IndexError):
        return 1


def _status_line(path: str, port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), _WITHIN) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.readline(1_000)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
