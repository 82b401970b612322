"""The plugin's process."""

from scripts.offline.plugins.protocol.stubs import skip_sdk

skip_sdk()

from scripts.offline.plugins.docker_resources.connection import SETTINGS, Connection  # noqa: E402
from scripts.offline.plugins.docker_resources.container.resource import Container  # noqa: E402
from scripts.offline.plugins.docker_resources.image import Image, RemoteImage  # noqa: E402
from scripts.offline.plugins.docker_resources.network import Network  # noqa: E402
from scripts.offline.plugins.docker_resources.volume import Volume  # noqa: E402
from scripts.offline.plugins.protocol import process, server  # noqa: E402
from scripts.offline.plugins.protocol.sdk import sdk_version  # noqa: E402

connection = Connection()
process.serve(
    server.Plugin(
        "docker",
        sdk_version("pulumi_docker"),
        [kind(connection) for kind in (Container, Image, Network, RemoteImage, Volume)],
        config=SETTINGS,
        configure=connection.configure,
        explain=connection.explain,
    )
)
