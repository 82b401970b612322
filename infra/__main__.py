"""The Pulumi program: read the stack file, deploy it, say where it is."""

import importlib
import os
import sys
from pathlib import Path

# Pulumi starts the program with infra/ as its first folder, where our `docker` package
# would hide the library of that name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env

from infra import loopback
from infra.build_context import BuildContextError
from infra.outputs import SECRETS_OUTPUT, TARGET_OUTPUT, TRACKING_URI_OUTPUT
from infra.spec import SpecError, load_spec

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
pulumi.export(TARGET_OUTPUT, target.apply(lambda known: known.model_dump(mode="json")))
pulumi.export(SECRETS_OUTPUT, deployment.secrets.apply(lambda known: known.model_dump()))
