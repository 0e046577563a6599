"""What every connection of a service says of itself."""

from contextlib import closing

import psycopg2
from sqlalchemy import text

from rollcall_local.postgres import Server
from rollcall_service.postgres import make_engine

SHOW = "SHOW synchronous_commit"


def test_what_is_committed_is_durable_whatever_is_usual_in_the_database(postgres: Server) -> None:
    engine = make_engine(postgres.url(), schema="public")
    with closing(psycopg2.connect(postgres.url())) as owner, owner.cursor() as cursor:
        owner.autocommit = True
        of_database = f'ALTER DATABASE "{engine.url.database}"'
        cursor.execute(f"{of_database} SET synchronous_commit TO off")
        try:
            with closing(psycopg2.connect(postgres.url())) as usual, usual.cursor() as other:
                other.execute(SHOW)
                assert other.fetchone() == ("off",)
            with engine.connect() as connection:
                assert connection.execute(text(SHOW)).scalar() == "on"
        finally:
            cursor.execute(f"{of_database} RESET synchronous_commit")
            engine.dispose()
