"""The cluster: what an operator plans and runs it with."""
