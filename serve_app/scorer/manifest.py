"""What `rerank pull` writes beside the weights: where they are from, and the size and SHA-256 of every file."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.catalog import Variant
from serve_app.scorer.conversion import Conversion

NAME = "manifest.json"


class FileRecord(BaseModel):
    """One file."""

    model_config = ConfigDict(frozen=True)

    size: int
    """Bytes."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileRecord":
        """Measure the file at `path`."""
        with path.open("rb") as content:
            return cls(size=path.stat().st_size, sha256=hashlib.file_digest(content, "sha256").hexdigest())


class Manifest(BaseModel):
    """Everything that is needed to tell whether a folder still is what was pulled."""

    model_config = ConfigDict(frozen=True)

    hub_id: str
    revision: str
    """As the catalog pinned it."""
    commit: str
    """What the hub resolved it to."""
    licence: str
    files: Mapping[str, FileRecord]
    converted: Conversion | None
    """How model.safetensors was made, where the hub has pickled weights only."""

    @classmethod
    def of(cls, variant: Variant, commit: str, paths: Iterable[Path], converted: Conversion | None) -> "Manifest":
        """Measure the files at `paths`."""
        return cls(
            hub_id=variant.hub_id,
            revision=variant.revision,
            commit=commit,
            licence=variant.licence,
            files={path.name: FileRecord.of(path) for path in sorted(paths)},
            converted=converted,
        )

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(record.size for record in self.files.values())

    def describes(self, variant: Variant, folder: Path) -> bool:
        """Whether the folder holds the variant at its pinned revision, with every file intact."""
        if (self.hub_id, self.revision) != (variant.hub_id, variant.revision):
            return False
        return all(
            (path := folder / name).is_file() and path.stat().st_size == record.size and FileRecord.of(path) == record
            for name, record in self.files.items()
        )

    def write(self, folder: Path) -> None:
        """As JSON, for people too."""
        (folder / NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest, or None when it has none that can be read."""
    try:
        return Manifest.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None
