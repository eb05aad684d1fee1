"""The operator's room: the catalog comes in; manifests, plans and rollouts go out. No ray, torch or fastapi."""
