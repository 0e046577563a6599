"""Entity tags: `"<version>"`, always strong."""

import re

from rollcall_gateway import problems
from rollcall_gateway.problems import FieldError

_VERSION = re.compile(r'"(\d{1,18})"')
_TAGS = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def entity_tag(version: int) -> str:
    return f'"{version}"'


def expected_version(if_match: list[str]) -> int | None:
    """The version that If-Match asks for; None without the header, and for `*`, which every
    version of a resource that exists satisfies."""
    if not if_match or if_match == ["*"]:
        return None
    match = _VERSION.fullmatch(if_match[0]) if len(if_match) == 1 else None
    if match is None:
        message = 'must be one ETag of this resource, such as "3", or *'
        error = FieldError("If-Match", message)
        raise problems.malformed(f"If-Match {message}.", error)
    return int(match[1])


def not_modified(if_none_match: list[str], version: int) -> bool:
    """Weak comparison (RFC 9110 §13.1.2), so that a tag that a proxy weakened still matches."""
    if not if_none_match:
        return False
    header = ",".join(if_none_match)
    return header.strip() == "*" or str(version) in _TAGS.findall(header)
