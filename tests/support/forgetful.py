"""A broker that says that there is none, and is away then: as Kafka can be when it stops.

A client is lost if it has read that answer after it has seen the connection end. So the answer
is long: of many partitions, which take longer to read than the end takes to be seen.
"""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TOPIC = "users"
_METADATA, _API_VERSIONS = 3, 18  # requests
_LEADER_NOT_AVAILABLE, _UNSUPPORTED_VERSION = 5, 35
_PARTITIONS = 5_000


class Forgetful(socketserver.ThreadingTCPServer):
    """It knows two requests, in early versions, and a topic without partitions, until it forgets.

    forgets: whether it tells whoever asks next that there is no broker, and goes away. asked: set
    once it was asked for brokers."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.forgets = False
        self.asked = threading.Event()
        self.away = threading.Event()
        self.port: int = self.server_address[1]

    def serve(self) -> None:
        while not self.away.is_set():
            self.handle_request()

    def go_away(self) -> None:
        """Nobody can connect from now on."""
        self.away.set()
        with suppress(OSError):  # it is away already
            self.socket.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    server: Forgetful

    def handle(self) -> None:
        while len(size := self.rfile.read(4)) == 4:
            request = self.rfile.read(*struct.unpack(">i", size))
            key, version, correlation = struct.unpack(">hhi", request[:8])
            last = key == _METADATA and self.server.forgets
            body = self._versions(version) if key == _API_VERSIONS else self._metadata()
            answer = struct.pack(">i", correlation) + body
            self.wfile.write(struct.pack(">i", len(answer)) + answer)
            if last:
                self.server.go_away()
                return

    @staticmethod
    def _versions(version: int) -> bytes:
        known = ((_METADATA, 1, 1), (_API_VERSIONS, 0, 0))
        pairs = b"".join(struct.pack(">hhh", *each) for each in known)
        return struct.pack(">hi", _UNSUPPORTED_VERSION if version else 0, len(known)) + pairs

    def _metadata(self) -> bytes:
        broker = (
            struct.pack(">i", 1) + _string("127.0.0.1") + struct.pack(">ih", self.server.port, -1)
        )
        forgets = self.server.forgets
        numbers = range(_PARTITIONS) if forgets else ()
        partitions = [struct.pack(">hiiii", _LEADER_NOT_AVAILABLE, n, -1, 0, 0) for n in numbers]
        error = 0 if forgets else _LEADER_NOT_AVAILABLE
        topic = struct.pack(">h", error) + _string(TOPIC) + struct.pack(">?", False)
        self.server.asked.set()
        return (
            _array([] if forgets else [broker])
            + struct.pack(">i", 1)
            + _array([topic + _array(partitions)])
        )


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


@contextmanager
def running(port: int = 0) -> Iterator[Forgetful]:
    """On a port of 127.0.0.1, any by default."""
    with Forgetful(port) as broker:
        thread = threading.Thread(target=broker.serve)
        thread.start()
        try:
            yield broker
        finally:
            broker.go_away()
            thread.join()
