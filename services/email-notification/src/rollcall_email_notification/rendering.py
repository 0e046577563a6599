"""From a kind of mail and its payload to a subject, a text and a page of HTML.

`templates/<locale>/<kind>.txt` holds the subject in its first line and the text below it,
`<kind>.html` the page. A locale is a folder; a kind that it lacks is sent in English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

FALLBACK = "en"
FOLDER = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Rendered:
    locale: str
    subject: str
    text: str
    html: str


class Renderer:
    """Renders from `folder`; templates are compiled once, when first used."""

    def __init__(self, folder: Path = FOLDER):
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["moment"] = moment
        self._templates = {name.lower(): name for name in self._environment.list_templates()}

    def render(self, kind: str, payload: Mapping[str, Any]) -> Rendered:
        """Raises jinja2's TemplateError: no such template, or the payload lacks what it needs."""
        locale = self.choose(str(payload.get("locale", "")), kind)
        values = {**payload, "kind": kind, "locale": locale}
        text = self._template(locale, f"{kind}.txt").render(values)
        html = self._template(locale, f"{kind}.html").render(values)
        subject, _, body = text.partition("\n")
        return Rendered(locale, " ".join(subject.split()), body.strip() + "\n", html)

    def kinds(self) -> dict[str, list[str]]:
        """Every kind of mail, and the locales it is there in."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._templates.values()):
            locale, _, name = path.partition("/")
            kind, _, suffix = name.partition(".")
            if suffix == "html" and self._has(locale.lower(), kind):
                found.setdefault(kind, []).append(locale)
        return found

    def choose(self, wanted: str, kind: str) -> str:
        """The locale that `kind` is there in for a BCP 47 tag: itself, its language, or English.

        The tag comes from an event, so it is compared with what there is and never made a path.
        """
        parts = wanted.replace("_", "-").lower().split("-")
        candidates = ("-".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((c for c in candidates if self._has(c, kind)), FALLBACK)

    def _has(self, locale: str, kind: str) -> bool:
        return {f"{locale}/{kind}.txt", f"{locale}/{kind}.html"} <= self._templates.keys()

    def _template(self, locale: str, name: str) -> Template:
        path = f"{locale}/{name}"
        return self._environment.get_template(self._templates.get(path, path))


def moment(value: str) -> str:
    """An ISO 8601 time as people read it, in UTC and saying so."""
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
