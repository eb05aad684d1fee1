"""What a person may set, from `RERANK_*` environment variables: the only reader of the environment.

A nested name joins with two underscores: `RERANK_LIMITS__MAX_DOCUMENTS=500`. Command-line options win over the
environment, the environment over the defaults here. The process that starts the service reads this once and
passes the values on; replicas are given them and read nothing.
"""

from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from serve_app.errors import ConfigurationError


class Limits(BaseModel):
    """What one request may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_documents: Annotated[int, Field(gt=0)] = 10_000
    """Cohere's limit, so that no client of that API meets a smaller one."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 8 * 2**20
    """10,000 passages of 100 words are about 6 MB."""
    max_bytes_in_flight: Annotated[int, Field(gt=0)] = 512 * 2**20
    """Bodies that one router holds at a time: what does not fit is told to come back."""
    request_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Longer than the cold start of any variant whose weights are on disk."""
    max_wait_s: Annotated[float, Field(gt=0)] = 2.0
    """What would wait longer for its turn on a device, and more than eight times as long as it takes itself, is told
    to come back, once a few wait already: a queue without an end answers nobody in time, and goes on answering those
    who have left."""


class UsageSettings(BaseModel):
    """Where the ledger writes what was used, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(default_factory=lambda: user_data_path("rerank-serve") / "usage.sqlite3")
    """SQLite file; not used when there is a Redis."""
    flush_every_s: Annotated[float, Field(gt=0)] = 5.0
    """What a crash can lose."""


class Settings(BaseSettings):
    """Everything `rerank serve` can be told without options."""

    model_config = SettingsConfigDict(env_prefix="RERANK_", env_nested_delimiter="__", frozen=True)

    catalog: Path | None = None
    """A catalog file of your own instead of the one that comes with the package."""
    routes: Path | None = None
    """File of routes: names whose traffic is split over lanes."""
    models_dir: Path | None = None
    """Folder of weights: `<models_dir>/<last part of the hub id>`."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    url: str = "http://127.0.0.1:8000"
    """The running service that `rerank query` and `rerank eval` talk to."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU when Ray sees one, else the CPU."""
    dtype: Literal["fp32", "fp16", "bf16", "int8"] | None = None
    """Overrides the catalog's dtype for every variant."""
    limits: Limits = Limits()
    keys: Path | None = None
    """File of API keys; `rerank keys` writes it."""
    open: bool = False
    """Whether everybody on this machine is answered, without keys."""
    redis_url: SecretStr | None = None
    """Rate limits and usage are shared there by all routers; without it each router has its own."""
    usage: UsageSettings = UsageSettings()
    api_key: SecretStr | None = None
    """What `rerank query`, `rerank eval` and `rerank usage` send."""


def read_settings() -> Settings:
    """Settings from the environment; raises ConfigurationError that names the variable and what was expected."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"RERANK_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("\n  ".join(["the environment is wrong:", *problems])) from error
