"""Kubernetes objects as YAML that people read."""

from collections.abc import Iterable

import yaml

from serve_app.cluster.objects import Object


def yaml_text(objects: Iterable[Object]) -> str:
    """All of them, one document each; texts of several lines as they are, and no anchors, which nobody expects."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
