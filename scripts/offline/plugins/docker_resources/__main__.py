"""The plugin's process."""

from scripts.offline.plugins.protocol.stubs import skip_sdk

skip_sdk()

from scripts.offline.plugins.protocol import process, server  # noqa: E402
from scripts.offline.plugins.protocol.sdk import sdk_version  # noqa: E402

from .connection import SETTINGS, Connection  # noqa: E402
from .container import Container  # noqa: E402
from .image import Image  # noqa: E402
from .network import Network  # noqa: E402
from .remote_image import RemoteImage  # noqa: E402
from .volume import Volume  # noqa: E402

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
