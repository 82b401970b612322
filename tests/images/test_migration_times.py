"""The benchmark of migrations: it fills what it says, and all of it is there afterwards."""

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from scripts.benchmarks.migration import FROM_3_16, Size, measure
from tests.images.sandbox import PASSWORD, Postgres

pytestmark = [
    pytest.mark.plugins,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore:Column-expression-level unary distinct"),
]


def test_fills_an_older_schema_and_upgrades_it(server: Postgres) -> None:
    url = URL.create("postgresql+psycopg2", "mlflow", PASSWORD, "127.0.0.1", server.port, "mlflow")
    try:
        row = measure(create_engine(url, poolclass=NullPool), server, Size(3, 40, 2), FROM_3_16)
        assert row.startswith("| 3 | 40 | 2 | 20 | ")
        assert row.endswith(" s |")
        moved = "SELECT trace_name, session_id, total_tokens FROM trace_info"
        assert server.sql(moved).split() == ["answer|a", "session|30"] * 2
        assert server.sql("SELECT count(*) FROM spans WHERE total_cost = 0.5") == "6"
    finally:
        server.sql(
            "DROP DATABASE IF EXISTS mlflow WITH (FORCE);CREATE DATABASE mlflow OWNER mlflow",
            "postgres",
        )
