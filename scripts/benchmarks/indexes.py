"""The indexes of a fresh database of a release of MLflow: `infra/releases/RELEASE.indexes`.

    python -m scripts.benchmarks.indexes [RELEASE ...]

Lets the schema job of the release's own image make the schema in an empty PostgreSQL, both in
containers that are removed at the end. Without a release: each that a stack may run.
"""

import argparse
from contextlib import closing

from infra import releases
from infra.image import build
from infra.image.context import find_ca_bundle, stage
from tests.images.sandbox import Postgres, Sandbox, ends, opened, wait_until

DEFINITIONS = "select indexdef from pg_indexes where schemaname = 'public' order by 1"


def of(release: str, sandbox: Sandbox, server: Postgres) -> list[str]:
    """Return the definitions after the release's schema job has made a new database."""
    server.sql(
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE);CREATE DATABASE mlflow OWNER mlflow",
        "postgres",
    )
    source = None if release == releases.pinned() else release
    context = stage("mlflow", build.BUILD_ROOT, ca_bundle=find_ca_bundle(), mlflow_source=source)
    with closing(build.connect()) as client:
        build.ensure(client, context)
    uri = "postgresql+psycopg2://mlflow@postgres:5432/mlflow"
    command = ["schema-job", f"--database-uri={uri}", "--artifacts-destination=gs://none"]
    status, said = ends(sandbox.run(context.tag, command))
    if status:
        raise SystemExit(said)
    print(said.strip())
    return server.sql(DEFINITIONS).splitlines()


def main() -> None:
    """Write the file of each release that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("releases", metavar="RELEASE", nargs="*", default=releases.supported())
    options = parser.parse_args()
    for release in options.releases:
        try:
            releases.checked(release)
        except ValueError as error:
            parser.error(f"{release} {error}")
    with opened() as sandbox:
        server = Postgres(sandbox, build.build(sandbox.client, "postgres"), hostname="postgres")
        wait_until(server.is_ready, 60, "PostgreSQL is ready")
        for release in options.releases:
            path = releases.FOLDER / f"{release}.indexes"
            path.write_text("\n".join(of(release, sandbox, server)) + "\n")
            print(f"{path.relative_to(releases.FOLDER.parents[1])} written")


if __name__ == "__main__":
    main()
