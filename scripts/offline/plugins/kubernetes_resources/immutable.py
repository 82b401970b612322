"""Which fields of which kinds cannot change, so that another value means another object.

From the API reference: the fields that it marks as immutable, and for a StatefulSet all but those
that it lists as changeable. What is missing here, the API server's own refusal in a dry run tells.
"""

import re

IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")

FIELDS = {
    "ConfigMap": ("data", "binaryData", "immutable"),
    "DaemonSet": ("spec.selector",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.selector", "spec.template", "spec.completionMode"),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    "Pod": ("spec",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Secret": ("data", "stringData", "immutable", "type"),
    "Service": ("spec.clusterIP",),
    "StatefulSet": (
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    "StorageClass": ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
}

_REFUSALS = re.compile(r"immutable|updates to .* are forbidden|may not (be changed|change)")


def replaces(kind: str, path: str) -> bool:
    """Tell whether a change at `path`, as `spec.selector.matchLabels`, needs a new object."""
    fields = IDENTITY + FIELDS.get(kind, ())
    return any(path == field or path.startswith(field + ".") for field in fields)


def refused_as_immutable(message: str) -> bool:
    """Tell whether the API server refused a change because a field cannot change."""
    return _REFUSALS.search(message) is not None
