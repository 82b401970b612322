"""The bundled plugin for the official SDK `pulumi_kubernetes`."""
