"""MLflow on Kubernetes.

`deployment.py` wires the components: `postgres.py`, `object_store.py`, `schema_job.py`, `mlflow.py`
and `load_balancer.py`. Each declares its pods (`pod.py`), what runs them (`workload.py`) and how
they are reached (`network.py`), and is ready after its rollout (`rollout.py`). `target.py` says how
this machine reaches each pod, by the port-forward (`forward.py`, `forward_process.py`).
`preflight.py` checks the cluster, and `image.py` brings images into a local one.
"""
