"""Every template, the choice of a locale, and mails that hold no more than they should."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from rollcall_email_notification.messages import compose, message_id, recipient_address
from rollcall_email_notification.rendering import Renderer
from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent

PAYLOAD: dict[str, Any] = {
    "name": "Ada <b>& co</b>",
    "email": "ada@example.com",
    "locale": "",
    "at": "2026-05-04T14:30:00+02:00",
}
MORE: dict[str, dict[str, Any]] = {
    "role_granted": {"role": "R&D"},
    "role_revoked": {"role": "R&D"},
    "profile_changed": {
        "changes": ["email", "name", "locale", "attributes", "suspended", "reactivated"]
    },
}
KINDS = Renderer().kinds()
GREETINGS = {"en": "Hello", "de": "Hallo", "fr": "Bonjour"}
FROM = Address("Rollcall", "noreply", "rollcall.example")


def delivery(
    kind: str = "welcome", recipient: str = "ada@example.com", event: str = "1"
) -> Delivery:
    return Delivery(1, f"key-{event}", f"id-{event}", kind, recipient, {}, 1, 0.0)


def test_every_handler_has_its_template_in_every_language() -> None:
    expected = ["address_changed", "farewell", "profile_changed", "role_granted", "role_revoked"]
    assert [*expected, "sign_in", "welcome"] == sorted(KINDS)
    assert all(locales == sorted(GREETINGS) for locales in KINDS.values())


@pytest.mark.parametrize("locale", GREETINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_template_renders(kind: str, locale: str) -> None:
    mail = Renderer().render(kind, PAYLOAD | {"locale": locale} | MORE.get(kind, {}))
    assert mail.subject
    assert "\n" not in mail.subject
    assert mail.text.startswith(f"{GREETINGS[locale]} Ada <b>& co</b>,\n")
    assert "2026-05-04 12:30 UTC" in mail.text
    assert f"{GREETINGS[locale]} Ada &lt;b&gt;&amp; co&lt;/b&gt;," in mail.html
    assert "<b>" not in mail.html
    assert f'<html lang="{locale}">' in mail.html
    assert "{{" not in mail.text + mail.html


@pytest.mark.parametrize("locale", GREETINGS)
@pytest.mark.parametrize("kind", set(KINDS) - {"profile_changed"})
def test_text_and_page_say_the_same(kind: str, locale: str) -> None:
    """Whoever changes a sentence in one changes it in the other."""
    mail = Renderer().render(
        kind, PAYLOAD | {"name": "Ada", "locale": locale} | MORE.get(kind, {"role": "auditor"})
    )
    page = unescape(re.sub(r"<title>.*?</title>|<[^>]*>", " ", mail.html))
    assert words(page) == words(mail.text)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@pytest.mark.parametrize("locale", GREETINGS)
def test_every_change_has_words(locale: str) -> None:
    payload = PAYLOAD | {"locale": locale} | MORE["profile_changed"]
    mail = Renderer().render("profile_changed", payload)
    assert mail.text.count("\n  - ") == 6
    assert mail.html.count("<li>") == 6


def test_what_the_payload_lacks_is_an_error() -> None:
    with pytest.raises(TemplateError):
        Renderer().render("role_granted", PAYLOAD)
    with pytest.raises(TemplateError):
        Renderer().render("no_such_kind", PAYLOAD)


@pytest.fixture
def several(tmp_path: Path) -> Renderer:
    for locale, kinds in {
        "en": ("welcome", "farewell"),
        "pt": ("welcome",),
        "pt-BR": ("welcome",),
    }.items():
        (tmp_path / locale).mkdir()
        for kind in kinds:
            (tmp_path / locale / f"{kind}.txt").write_text(f"{kind} in {locale}\n\nbody\n")
            (tmp_path / locale / f"{kind}.html").write_text("<p>body</p>")
    return Renderer(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "kind", "subject"),
    [
        ("pt-BR", "welcome", "welcome in pt-BR"),
        ("PT_br", "welcome", "welcome in pt-BR"),
        ("pt-PT", "welcome", "welcome in pt"),
        ("pt-BR-x-any", "welcome", "welcome in pt-BR"),
        ("pt", "farewell", "farewell in en"),
        ("de", "welcome", "welcome in en"),
        ("", "welcome", "welcome in en"),
        ("../../etc", "welcome", "welcome in en"),
    ],
)
def test_the_nearest_locale_is_chosen(
    several: Renderer, wanted: str, kind: str, subject: str
) -> None:
    assert several.render(kind, {"locale": wanted}).subject == subject


def body(mail: EmailMessage, subtype: str) -> Any:
    part = mail.get_body((subtype,))
    assert part is not None
    return part.get_content()


def test_the_whole_mail() -> None:
    rendered = Renderer().render("role_granted", PAYLOAD | {"role": "Prüfer"})
    now = datetime(2026, 5, 4, 12, 31, tzinfo=UTC)
    wire = compose(delivery("role_granted"), rendered, FROM, lambda: now).as_bytes()
    mail = message_from_bytes(wire, policy=default)
    assert mail["From"] == "Rollcall <noreply@rollcall.example>"
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"] == "You were granted the role Prüfer"
    assert mail["Date"] == "Mon, 04 May 2026 12:31:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "en"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert "Prüfer" in body(mail, "plain")
    assert all(len(line) <= 998 for line in wire.split(b"\r\n"))


def test_no_name_makes_a_header() -> None:
    evil = "x\r\nBcc: all@example.com\r\n\r\n<script>"
    rendered = Renderer().render("role_granted", PAYLOAD | {"role": evil, "name": evil})
    mail = message_from_bytes(compose(delivery(), rendered, FROM).as_bytes(), policy=default)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "You were granted the role x"
    assert "<script>" not in body(mail, "html")


def test_message_ids_are_stable_and_differ_between_mails() -> None:
    variants = [
        delivery(),
        delivery(kind="address_changed"),
        delivery(recipient="old@example.com"),
        delivery(event="2"),
    ]
    ids = [message_id(d, "rollcall.example") for d in variants]
    assert len(set(ids)) == len(ids)
    assert ids[0] == message_id(delivery(), "rollcall.example")
    assert ids[0].startswith("<id-1.")
    assert ids[0].endswith("@rollcall.example>")


@pytest.mark.parametrize(
    "recipient",
    [
        *("nobody", "@", "a@", "@b", "a b@example.com", "a@b, c@d", "a@example.com X: y", "a@.."),
        *(f"a@{'x' * 70}.com", "<a@b.c>", "Ada <a@b.c>", "a@b.c\r\nBcc: d@e.f", "é b@c.d"),
    ],
)
def test_what_is_no_address_fails_for_good(recipient: str) -> None:
    with pytest.raises(Permanent, match="not an address"):
        recipient_address(recipient)


def test_a_domain_goes_in_its_ascii_form() -> None:
    assert recipient_address("ada@bücher.example").addr_spec == "ada@xn--bcher-kva.example"
    assert recipient_address("ada@straße.example").addr_spec == "ada@xn--strae-oqa.example"
    assert recipient_address("ada@mail_1.example").addr_spec == "ada@mail_1.example"
    assert recipient_address("jürgen@example.com").addr_spec == "jürgen@example.com"
