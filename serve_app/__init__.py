"""rerank-serve: a fleet of cross-encoder rerankers on Ray Serve."""

from importlib.metadata import version

__version__ = version("rerank-serve")
