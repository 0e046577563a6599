"""A user-management in memory, for tests and for measuring the gateway by itself.

It keeps the neighbour's contract (commands.proto, queries.proto) and little of its domain:
versions, unique e-mails and names, merge patches, pages, positions, and the errors by name. A
write is visible at once; what a query may have to wait for is a position past the end.
"""

from rollcall_gateway.testing.memory import TOPIC_ID, Memory, RefusedError
from rollcall_gateway.testing.services import merge, new_server

__all__ = ["TOPIC_ID", "Memory", "RefusedError", "merge", "new_server"]
