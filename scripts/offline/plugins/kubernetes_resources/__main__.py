"""The plugin's process."""

from scripts.offline.plugins.protocol.stubs import skip_sdk

skip_sdk()

from scripts.offline.plugins.protocol import process  # noqa: E402
from scripts.offline.plugins.protocol.sdk import sdk_version  # noqa: E402

from .server import KubernetesPlugin  # noqa: E402

process.serve(KubernetesPlugin(sdk_version("pulumi_kubernetes")))
