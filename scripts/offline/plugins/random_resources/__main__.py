"""The plugin's process."""

from scripts.offline.plugins.protocol.stubs import skip_sdk

skip_sdk()

from scripts.offline.plugins.protocol import process, server  # noqa: E402
from scripts.offline.plugins.protocol.sdk import sdk_version  # noqa: E402
from scripts.offline.plugins.random_resources.resources import RESOURCES  # noqa: E402

process.serve(
    server.Plugin(
        "random",
        sdk_version("pulumi_random"),
        RESOURCES,
        config={},
        configure=lambda settings: None,
        explain=lambda problem: None,
    )
)
