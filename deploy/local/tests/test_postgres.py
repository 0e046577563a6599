"""Postgres from its wheel: durable, and each service in a schema of its own."""

import os
import signal
from pathlib import Path

import psycopg2
import pytest

from rollcall_local import postgres
from rollcall_local.ports import free_port


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_what_a_service_wrote_is_there_after_a_kill(tmp_path: Path) -> None:
    with postgres.running(tmp_path / "state", free_port()) as server:
        execute(
            server.url("user_management"),
            "CREATE SCHEMA mine CREATE TABLE notes (text text)",
            "INSERT INTO mine.notes VALUES ('kept')",
        )
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
    with postgres.running(tmp_path / "state", free_port()) as server:
        assert execute(server.url("user_management"), "TABLE mine.notes") == [("kept",)]


def test_a_service_reaches_nothing_of_anothers(tmp_path: Path) -> None:
    with postgres.running(tmp_path / "state", free_port()) as server:
        execute(server.url("user_management"), "CREATE SCHEMA mine CREATE TABLE notes (text text)")
        other = server.url("email_notification")
        for statement in (
            "TABLE mine.notes",
            "CREATE TABLE public.notes (text text)",
            "CREATE TABLE mine.more (text text)",
            "CREATE ROLE another",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                execute(other, statement)
        with pytest.raises(psycopg2.OperationalError, match="password"):
            execute(server.url().replace(server.passwords["postgres"], "wrong"), "SELECT 1")


def test_a_database_made_anew_is_empty(tmp_path: Path) -> None:
    with postgres.running(tmp_path / "state", free_port()) as server:
        for _ in range(2):
            postgres.provide(server, "fresh", anew=True)
            url = server.url("user_management", "fresh")
            execute(url, "CREATE SCHEMA user_management")


def test_no_password_is_shown(tmp_path: Path) -> None:
    server = postgres.Server(1, {"postgres": "secret"})
    assert "secret" not in repr(server)


def test_settings_are_durable(tmp_path: Path) -> None:
    with postgres.running(tmp_path / "state", free_port()) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert execute(server.url(), f"SHOW {name}") == [("on",)]
