"""The Pulumi program: read the stack file, deploy it, say where it is."""

import importlib
import operator
import os
import sys
from pathlib import Path

# Pulumi starts the program with infra/ as its first folder, where our `docker` package
# would hide the library of that name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env

from infra import loopback
from infra.image.context import BuildContextError
from infra.outputs import (
    ADMIN_PASSWORD_OUTPUT,
    CA_FILE_OUTPUT,
    SECRETS_OUTPUT,
    TARGET_OUTPUT,
    TRACKING_URI_OUTPUT,
    Summary,
    summary,
)
from infra.specification.error import SpecError
from infra.specification.load import load_spec

os.environ.update(loopback.spared(os.environ))
try:
    folder = Path(__file__).resolve().parent.parent
    stack_file = folder / "stacks" / f"Pulumi.{pulumi.get_stack()}.yaml"
    spec = load_spec(get_config_env(), folder, get_config_secret_keys_env(), stack_file)
    # Only the platform's own SDK is loaded.
    platform = importlib.import_module(f"infra.{spec.platform}.deployment")
    deployment = platform.Deployment(pulumi.get_stack(), spec)
except (SpecError, BuildContextError) as error:
    raise pulumi.RunError(str(error)) from None
target = deployment.target
pulumi.export(TRACKING_URI_OUTPUT, target.apply(lambda known: known.tracking_uri))
for name in Summary.model_fields:
    pulumi.export(name, target.apply(summary).apply(operator.attrgetter(name)))
if spec.tls:
    pulumi.export(CA_FILE_OUTPUT, target.apply(lambda known: known.ca_file))
pulumi.export(TARGET_OUTPUT, target.apply(lambda known: known.model_dump(mode="json")))
pulumi.export(SECRETS_OUTPUT, deployment.secrets.apply(lambda known: known.model_dump()))
if deployment.admin_password is not None:
    pulumi.export(ADMIN_PASSWORD_OUTPUT, deployment.admin_password)
