"""What the runs say: e-mails, names, bodies good and bad, all with the tag of their run."""

from collections.abc import Callable, Mapping
from typing import Any

from model.platform_model import Body

WORDS = ("ada", "bob", "cai", "dee", "eve", "fay", "gus", "hal", "ida", "jon")
ATTRIBUTES: tuple[Mapping[str, Any] | None, ...] = (
    {"team": "red"},
    {"team": None, "size": 3},
    {"home": {"city": "Bern", "floor": 2}},
    {"home": {"floor": None}},
    {"home": {"rooms": [1, "b", None, {"x": True}]}},
    {"new": {"deep": {"gone": None, "kept": 1.5}}},
    {"team": {"was": "text"}},
    {"home": [], "flag": False},
    {},
    None,
)
PERMISSIONS: tuple[list[str], ...] = ([], ["users:read"], ["users:read", "roles:*"], ["a", "b"])
BAD_USERS: tuple[Body, ...] = (
    {"email": "nobody", "name": "No"},
    {"email": "no@example.com"},
    {"email": "no@example.com", "name": " "},
    {"email": "no@example.com", "name": "No", "locale": "not a locale"},
    {"email": "no@example.com", "name": "No", "admin": True},
)
BAD_USER_PATCHES: tuple[Body, ...] = (
    {"status": "gone"},
    {"name": None},
    {"email": "nobody"},
    {"version": 7},
    {"attributes": []},
)
BAD_ROLES: tuple[Body, ...] = (
    {"name": "no"},
    {"name": " ", "permissions": []},
    {"name": "no", "permissions": ["a", "a"]},
)
LETTERS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
}
USER_FIELDS = ("name", "email", "status", "locale", "attributes")
ROLE_FIELDS = ("name", "description", "permissions")
FILTERS = ("none", "name", "role", "role_id", "status", "email")
ORDERS = tuple(
    f"{sign}{name}" for name in ("created_at", "updated_at", "email", "name") for sign in ("", "-")
)

BAD = {"create_user": BAD_USERS, "patch_user": BAD_USER_PATCHES, "create_role": BAD_ROLES}


def word_of(slot: int) -> str:
    """All are of one length and lower case, so that every collation orders them alike."""
    return f"{WORDS[slot % 10]}{slot // 10}"


def user_body(tag: str, word: str) -> dict[str, Any]:
    return {"email": f"{word}.{tag}@example.com", "name": f"{word} {tag}"}


def role_body(tag: str, word: str, value: int = 0) -> dict[str, Any]:
    description = (None, "", "what it is for")[value % 3]
    permissions = PERMISSIONS[value % len(PERMISSIONS)]
    return {"name": f"{word} {tag}", "description": description, "permissions": permissions}


def in_letters(letters: str, text: str) -> str:
    """The text in other letters; of an e-mail, its local part."""
    local, at, domain = text.partition("@")
    return f"{LETTERS[letters](local)}{at}{domain}"
