"""Packages that a command needs and that a plain install leaves out."""

from importlib.util import find_spec

from serve_app.errors import ConfigurationError


def require_packages(*names: str, brought_by: str = "rerank-serve[router,scorer] (`make install` does)") -> None:
    """Raise ConfigurationError that names those which are not installed, and what brings them."""
    if absent := [name for name in names if find_spec(name) is None]:
        raise ConfigurationError(f"this needs {', '.join(absent)}: install {brought_by}")
