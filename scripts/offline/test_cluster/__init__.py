"""A real Kubernetes of one node on this machine, where no kind, minikube or k3d can be had.

It runs in namespaces (processes, network, mounts) that end with its first process: network rules,
routes and mounts are changed there, not on the host.
"""
