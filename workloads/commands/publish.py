"""`publish`: a saved run as an MLflow run on a tracking server."""

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from workloads.commands.access_options import access_given


def publish(
    folder: Annotated[Path, Argument(metavar="DIR", help="A folder below results.")],
    to: Annotated[str, Option(metavar="URI", help="Address of the tracking server, of any.")],
    experiment: Annotated[str, Option(metavar="NAME")] = "mlflow-bench",
    ca_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Certificates that the server's is verified by, as for run."),
    ] = None,
) -> int:
    """Make a saved run an MLflow run on a server."""
    from workloads.load import client_settings
    from workloads.target import access, target

    uri = target.at(to, "--to").tracking_uri
    client_settings.publishing(os.environ)
    access.install(access_given(None, None, None, ca_file))

    from workloads.report import publish as publication  # imports mlflow, which reads its settings

    published = publication.publish(folder, uri, experiment)
    print(f"the run (verdict {published.verdict}) {published.became}: {published.address}")
    return 0
