"""What a user of the platform does first, on one started by Compose."""

import json
import uuid

import httpx
from compose.composed import Composed
from e2e.messages import WELCOME, mails_to, slack_messages, text_of
from e2e.people import create, second_admin, seen
from e2e.waiting import eventually


def a_user_is_created_and_welcomed(api: httpx.Client, platform: Composed) -> None:
    created = create(api, "ada", name="Ada Lovelace")
    assert created.headers["ETag"] == '"1"'
    read = api.get(created.headers["Location"], headers=seen(created))
    assert read.json() == created.json()
    (mail,) = eventually(lambda: mails_to(platform, created.json()["email"]), within=20)
    assert mail["Subject"] == WELCOME
    assert "Ada Lovelace" in text_of(platform, mail)


def the_other_admin_is_told(api: httpx.Client, platform: Composed) -> None:
    with second_admin(api, platform) as other:
        user = create(api, "ada", name=f"Ada {uuid.uuid4().hex[:8]}").json()
        eventually(
            lambda: any(user["name"] in text for text in slack_messages(platform, other["email"])),
            within=30,
        )


def history_shows_who_changed_what(api: httpx.Client) -> None:
    created = create(api, "ada")
    path = created.headers["Location"]
    changed = api.patch(path, json={"name": "Countess"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    events = api.get(f"{path}/events", headers=seen(changed)).json()["events"]
    assert [event["version"] for event in events] == [1, 2]
    assert events[1]["changes"] == [{"field": "name", "old": "Ada", "new": "Countess"}]
    assert events[1]["actor"]


def the_read_store_is_the_fold_of_the_log(platform: Composed) -> None:
    verified = json.loads(platform.rollcall("verify", "--json"))
    assert verified["differences"] == []
    assert verified["records"] > 0


def the_replicas_divide_the_partitions(platform: Composed) -> None:
    status = json.loads(platform.rollcall("status", "--json"))
    (users,) = [s for s in status["services"] if s["name"] == "user-management"]
    held = [replica["partitions"]["users"] for replica in users["replicas"]]
    assert sorted(len(partitions) for partitions in held) == [16, 17, 17]
    assert sorted(number for partitions in held for number in partitions) == list(range(50))
