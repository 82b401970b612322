"""A real Kubernetes of one node on this machine, where no kind, minikube or k3d can be had.

Everything of it lives in namespaces (processes, network, mounts) that end with its first process:
what it changes of network rules, routes and mounts, it changes there, and not on the host.
"""
