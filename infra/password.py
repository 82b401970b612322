"""Passwords of a stack's own services, made once and kept in its state, encrypted."""

from collections.abc import Mapping

import pulumi
import pulumi_random as random


def password(
    name: str, parent: pulumi.Resource, keepers: Mapping[str, pulumi.Input[str]] | None = None
) -> pulumi.Output[str]:
    """Declare a password under the logical name `name`; another value of `keepers` renews it."""
    return random.RandomPassword(
        name,
        length=32,
        special=False,
        keepers=keepers,
        opts=pulumi.ResourceOptions(parent=parent),
    ).result
