"""Where a component's image comes from: built from this project, or a reference of one's own."""

from pathlib import Path

import pulumi
import pulumi_docker as docker

from infra.build_context import BuildContext, find_ca_bundle, stage

PROJECT_FOLDER = Path(__file__).resolve().parents[2]


def image_source(
    name: str, given: str | None, mlflow_source: Path | None = None
) -> BuildContext | str:
    """Return the reference that a person gave, or else a staged build context.

    Raises `BuildContextError`, before any resource exists, for an mlflow that cannot be built.
    """
    return given or stage(
        name,
        PROJECT_FOLDER / ".build",
        ca_bundle=find_ca_bundle(),
        mlflow_source=mlflow_source,
    )


class Image(pulumi.ComponentResource):
    """The image of one component."""

    digest: pulumi.Output[str]
    """Digest of the image to run: what is recorded with a figure is what ran."""

    def __init__(
        self,
        name: str,
        source: BuildContext | str,
        base: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("mlflow-bench:docker:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if isinstance(source, str):
            remote = docker.RemoteImage(name, name=source, keep_locally=True, opts=child)
            self.digest = remote.image_id
        else:
            built = docker.Image(
                name,
                image_name=source.tag,
                build=docker.DockerBuildArgs(
                    context=str(source.path),
                    dockerfile=str(source.path / "Dockerfile"),
                    args={"BASE": base},
                    # The builder that every engine has: buildx is an add-on.
                    builder_version=docker.BuilderVersion.BUILDER_V1,
                ),
                skip_push=True,
                opts=child,
            )
            # For an image that is not pushed, this is its id.
            self.digest = built.repo_digest
        self.register_outputs({"digest": self.digest})
