"""A schema that a later release has migrated."""

from integration.databases import of_user_management
from sqlalchemy import text

from rollcall_service.migrations import upgrade


def test_what_a_later_release_has_migrated_is_left(database_url: str) -> None:
    with of_user_management(database_url) as engine:
        with engine.begin() as connection:
            later = "UPDATE user_management.alembic_version SET version_num = '9999'"
            connection.execute(text(later))
        upgrade(engine, "rollcall_user_management", schema="user_management")
        with engine.connect() as connection:
            stored = "SELECT version_num FROM user_management.alembic_version"
            assert connection.execute(text(stored)).scalar_one() == "9999"
