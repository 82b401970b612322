"""The components of a deployment as Kubernetes objects."""
