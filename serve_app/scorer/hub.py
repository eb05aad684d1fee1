"""The Hugging Face hub: which files a variant has at its pinned revision, and how they come here.

The one home of `huggingface_hub`; every failure of it becomes a sentence without addresses. HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE and HF_HUB_DOWNLOAD_TIMEOUT are that library's, and work here as everywhere.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # public, and re-exported without saying so

from serve_app.catalog import Variant
from serve_app.errors import WeightsInvalid, WeightsUnavailable

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""Those that are read; a repository has one of the first and the last, or both."""
_LOOK_TIMEOUT_S = 5.0
_UNAUTHORIZED = 401
_REASONS: Mapping[type[Exception], str] = {
    OfflineModeIsEnabled: "HF_HUB_OFFLINE forbids to ask the hub",
    GatedRepoError: "the hub gives {hub_id} only to those who accepted its terms: set HF_TOKEN",
    RevisionNotFoundError: "the hub does not have {pinned}",
    RepositoryNotFoundError: "the hub has no {hub_id}, or hides it: a private one needs HF_TOKEN",
    LocalEntryNotFoundError: "the hub did not send every file: try again later",  # after five tries
    EntryNotFoundError: "the hub lacks a file of {pinned}",
    HfHubHTTPError: "the hub refuses {pinned}",
    ConnectionError: "the hub cannot be reached ({kind})",
    OSError: "the hub sent a file of another length: try again",  # http_get's
}
"""The first that fits; else that of ConnectionError."""
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub describes it."""

    name: str
    size: int
    """Bytes."""
    algorithm: Literal["sha256", "git"]
    """Large files have a SHA-256; small ones the SHA-1 that git gives a blob."""
    checksum: str

    def matches(self, path: Path) -> bool:
        """Whether the file at `path` is this one, byte for byte."""
        digest = hashlib.sha256() if self.algorithm == "sha256" else hashlib.sha1(usedforsecurity=False)
        if self.algorithm == "git":
            digest.update(f"blob {path.stat().st_size}\0".encode())
        with path.open("rb") as content:
            while block := content.read(2**20):
                digest.update(block)
        return digest.hexdigest() == self.checksum


@dataclass(frozen=True, slots=True)
class Published:
    """What the hub has of a variant: the commit that its revision names, and the files that serving needs."""

    commit: str
    files: Sequence[HubFile]


def published(variant: Variant) -> Published:
    """Ask the hub, in one request; raises WeightsUnavailable, and WeightsInvalid when its file is not the pinned."""
    with _in_words(variant):
        info = HfApi().model_info(
            variant.hub_id, revision=variant.revision, files_metadata=True, timeout=_LOOK_TIMEOUT_S
        )
    wanted = _wanted(variant)
    files = [file for sibling in info.siblings or () if (file := _described(sibling)) and file.name in wanted]
    names = {file.name for file in files}
    if lacking := [name for name in ("config.json", variant.weights_file) if name not in names]:
        raise WeightsUnavailable(f"the hub has no {' and no '.join(lacking)} of {_pinned(variant)}")
    weights = next(file for file in files if file.name == variant.weights_file)
    if variant.weights_sha256 not in (None, weights.checksum):
        raise WeightsInvalid(f"the hub's {weights.name} of {_pinned(variant)} is not the file that the catalog pins")
    return Published(info.sha or variant.revision, files)


def _described(sibling: RepoSibling) -> HubFile | None:
    if sibling.lfs is not None:
        return HubFile(sibling.rfilename, sibling.lfs.size, "sha256", sibling.lfs.sha256)
    if sibling.size is None or sibling.blob_id is None:
        return None  # a mirror that tells no more than names
    return HubFile(sibling.rfilename, sibling.size, "git", sibling.blob_id)


def fetch(variant: Variant, commit: str, file: HubFile, folder: Path) -> None:
    """Download one file into the folder, going on where an earlier try stopped; raises OSError when it cannot write.

    Raises WeightsUnavailable, keeping what has come, and WeightsInvalid, keeping nothing, when it is not the
    file that was described.
    """
    path = folder / file.name
    if path.is_file() and path.stat().st_size > file.size:
        path.unlink()
    with path.open("ab") as target, _in_words(variant):
        http_get(
            hf_hub_url(variant.hub_id, file.name, revision=commit),
            target,
            resume_size=target.tell(),
            headers=build_hf_headers(),
            expected_size=file.size,
            displayed_filename=f"{variant.name}/{file.name}",
        )
    if not file.matches(path):
        path.unlink()
        raise WeightsInvalid(f"{file.name} of {_pinned(variant)} came with a wrong checksum and was deleted: try again")


def cached(variant: Variant) -> Path | None:
    """The folder of an earlier download in the hub's own cache, if it is complete."""
    # By the same names as it was downloaded: huggingface_hub 2.4 calls a folder incomplete that lacks any other file
    # of the repository.
    wanted = _wanted(variant)
    try:
        found = snapshot_download(
            variant.hub_id, revision=variant.revision, allow_patterns=wanted, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    # The folder is there as soon as the first file is: a download that was broken off has no weights yet.
    folder = Path(found)
    return folder if (folder / variant.weights_file).is_file() else None


def download(variant: Variant) -> Path:
    """Download into the hub's own cache, which other programs share; raises WeightsUnavailable, WeightsInvalid."""
    # Asked first, because it fails at once: without a network the download itself tries for 23 s
    # (huggingface_hub 2.4.0), and a request is waiting.
    published(variant)
    with _in_words(variant):
        return Path(snapshot_download(variant.hub_id, revision=variant.revision, allow_patterns=_wanted(variant)))


def _wanted(variant: Variant) -> list[str]:
    return ["config.json", variant.weights_file, *TOKENIZER_FILES]


def _pinned(variant: Variant) -> str:
    return f"{variant.hub_id} at revision {variant.revision}"


@contextmanager
def _in_words(variant: Variant) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the hub's client has changed its HTTP library, and so its errors, twice
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # of this machine's disk
        _log.info("%s from the hub: %s: %s", variant.hub_id, type(error).__name__, error)
        raise WeightsUnavailable(_reason(variant, error)) from error


def _reason(variant: Variant, error: Exception) -> str:
    if type(error) is HfHubHTTPError:  # none of its more telling kinds
        status = error.response.status_code
        private = "a private repository, or an HF_TOKEN that is not valid"
        return f"the hub answered {status}: {private if status == _UNAUTHORIZED else 'try again later'}"
    if "Timeout" in type(error).__name__:
        return "the hub did not answer in time"
    told = next((told for kind, told in _REASONS.items() if isinstance(error, kind)), _REASONS[ConnectionError])
    return told.format(hub_id=variant.hub_id, pinned=_pinned(variant), kind=type(error).__name__)
