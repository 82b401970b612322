"""The components of a deployment as Docker containers, networks and volumes."""
