"""A user's free attributes: a JSON object, patched as RFC 7396 says."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value


def to_dict(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def to_struct(attributes: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(attributes)
    return struct


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are the same JSON. To Python alone, true is 1."""
    return one is other or (one == other and to_struct(one) == to_struct(other))


def as_numbers(value: Any) -> Any:
    """JSON as protobuf reads it: every number a double, whole ones too."""
    if isinstance(value, Mapping):
        return {name: as_numbers(below) for name, below in value.items()}
    if isinstance(value, list):
        return [as_numbers(below) for below in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The target with the patch's members: objects merge, null removes, all else replaces."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            below = merged.get(name)
            merged[name] = merge_patch(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return to_dict(value.struct_value)
        case "list_value":
            return [_plain(v) for v in value.list_value.values]
        case "null_value" | None:
            return None
        case kind:
            return getattr(value, kind)
