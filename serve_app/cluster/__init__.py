"""The operator's room: the catalog comes in, what a Kubernetes cluster is told goes out. No ray, torch or fastapi."""
