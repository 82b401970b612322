"""Where older states load the project's own providers from."""

from infra.own_provider import load as load
