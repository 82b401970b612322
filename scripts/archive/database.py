"""The backend store of a stack, by the tools in PostgreSQL's own container.

They talk over its socket as the superuser, so that no password is needed here.
"""

from collections.abc import Callable
from pathlib import Path

from infra.outputs import Target
from scripts.archive import RefusedError
from scripts.archive.host import Host

_CONNECTION = ("--host=/run/postgresql", "--username=postgres")

# What a stack has when nobody has used it: MLflow's experiment 0 alone.
_CONTENT = """
select (select count(*) from experiments where experiment_id <> 0) || ' experiments, '
    || (select count(*) from runs) || ' runs, '
    || (select count(*) from registered_models) || ' registered models, '
    || (select count(*) from trace_info) || ' traces'
"""
_NOTHING = "0 experiments, 0 runs, 0 registered models, 0 traces"

# A query of the tables that the schema job looks at (`schema_job/workspaces.py`): what that refuses
# is not to be restored. Older releases of MLflow have none.
_OF_WORKSPACES = """
select coalesce(
         string_agg(
           format('select true from public.%I where workspace <> ''default''', table_name),
           ' union all '),
         'select true where false')
  from information_schema.columns
 where table_schema = 'public' and column_name = 'workspace'
"""

# What depends on the place that a backup is restored to: where artifacts are, and so archived spans
# (their addresses are in tags); rollups of traces, which a stack without them must not have, and
# one with them builds again.
FIT = r"""
create temporary table place on commit drop as
    select regexp_replace(regexp_replace(artifacts_destination, ' at .*$', ''), '^/', 'file:///')
           as former,
           regexp_replace(regexp_replace(:'destination', ' at .*$', ''), '^/', 'file:///') as now
      from mlflow_bench.deployment;
update public.trace_tags set value = now || substr(value, length(former) + 1)
  from place
 where key = 'mlflow.trace.archiveLocation' and starts_with(value, former || '/');
select format('delete from %I', name)
  from unnest(array['sql_trace_metric_daily_rollups', 'sql_span_cost_daily_rollups',
                    'sql_assessment_daily_rollups', 'sql_trace_rollup_rebuild_queue']) as name
 where to_regclass('public.' || name) is not null \gexec
alter table mlflow_bench.deployment
    add column if not exists trace_rollups boolean not null default false;
update mlflow_bench.deployment
   set artifacts_destination = :'destination', trace_rollups = :'rollups';
"""

# Read by the schema job, which then removes it. They are encrypted by this stack's own.
FORMER_KEYS = """
alter table mlflow_bench.deployment add column if not exists former_keys text;
update mlflow_bench.deployment set former_keys = nullif(:'former_keys', '');
"""

# One transaction: as long as its last line has not come, the database is as it was.
_RESTORE = r"""
{
  echo 'begin;'
  echo 'drop schema if exists mlflow_bench, mlflow_auth cascade; drop schema public cascade;'
  echo 'create schema public authorization pg_database_owner;'
  pg_restore --no-owner --no-privileges --role="$2" --exit-on-error --file=-
  echo 'set search_path = public;'
  echo "$5"
  echo "$6"
  echo 'commit;'
} | psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=destination="$3" --set=rollups="$4" \
    --set=former_keys="$7" --host=/run/postgresql --username=postgres --dbname="$1" \
    --output=/dev/null
"""


def has_workspaces(ask: Callable[[str], str]) -> bool:
    """Say whether a row of any table is in another workspace; `ask` returns a query's value."""
    return ask(f"select exists ({ask(_OF_WORKSPACES)})") == "t"


class Database:
    """The database of a stack; all raise `RefusedError` with PostgreSQL's own words."""

    def __init__(self, target: Target, host: Host) -> None:
        servers = [c for c in target.components if c.kind == "postgres"]
        if not servers:
            raise RefusedError(
                f"stack {target.stack!r} is on a database of your own: back that up, and its "
                "artifacts after it"
            )
        self._host = host
        self._component = servers[0]
        self._name = target.backend_store.database
        self._role = target.backend_store.user

    def dump(self, path: Path) -> None:
        """Write everything in the database, as one snapshot has it, in pg_dump's own format."""
        with path.open("wb") as file:
            command = ("pg_dump", *_CONNECTION, "--format=custom", self._name)
            self._host.run(self._component, *command, stdout=file)

    def restore(self, path: Path, destination: str, former_keys: str = "") -> None:
        """Put a dump in the place of what is there, in one transaction.

        `destination` is where the artifacts are now, as `destination()` says; `former_keys` are
        those of the dump, as `encryption.sealed` returns them.
        """
        rollups = self.ask(
            "select coalesce((to_jsonb(deployment) ->> 'trace_rollups')::boolean, false)"
            " from mlflow_bench.deployment"
        )
        with path.open("rb") as file:
            script = (
                "bash",
                "-euo",
                "pipefail",
                "-c",
                _RESTORE,
                "bash",
                self._name,
                self._role,
                destination,
                rollups,
                FIT,
                FORMER_KEYS,
                former_keys,
            )
            self._host.run(self._component, *script, stdin=file)

    def content(self) -> str | None:
        """Say what people have put there; None: nothing."""
        counts = self.ask(_CONTENT)
        return None if counts == _NOTHING else counts

    def destination(self) -> str:
        """Return the artifact destination that the schema job wrote down."""
        return self.ask("select artifacts_destination from mlflow_bench.deployment")

    def has_workspaces(self) -> bool:
        """Say whether anything of what people have made is in another than the default one."""
        return has_workspaces(self.ask)

    def revision(self) -> str:
        """Return the revision of MLflow's schema."""
        return self.ask("select version_num from alembic_version")

    def version(self) -> str:
        """Return PostgreSQL's version."""
        return self.ask("show server_version").split()[0]

    def ask(self, query: str) -> str:
        """Return the one value of a query."""
        psql = ("psql", *_CONNECTION, "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1")
        command = (*psql, f"--dbname={self._name}", f"--command={query}")
        return self._host.run(self._component, *command).strip()
