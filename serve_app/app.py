"""The composition root: arguments in, one Ray Serve application out - a scorer deployment a variant, and the router.

`serve_app.app:build` is the import path of a RayService and of `serve run`, with AppArgs as its arguments;
`rerank serve` calls it too.
"""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import ray
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from ray import serve
from ray.serve import Application

from serve_app.autoscaling import Pacing
from serve_app.catalog import Catalog, Dtype, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog, load_routes
from serve_app.errors import ConfigurationError
from serve_app.key_file import read_keys
from serve_app.router.deployment import Router, RouterOptions, TrafficDesk
from serve_app.routes import RouteTable
from serve_app.scorer.deployment import REQUESTS_IN_REPLICA, Scorer, ScorerOptions
from serve_app.scoring import Device
from serve_app.settings import Limits, UsageSettings

REQUESTS_IN_QUEUE = 1_024
"""Requests that wait in a router for a scorer; beyond it callers are told to come back."""
REQUESTS_IN_ROUTER = 1_024
DRAIN_MARGIN_S = 10.0
DESK = "traffic-desk"
SCALING_POLICY = "serve_app.scorer.autoscaling:TokenPolicy"
_log = logging.getLogger("ray.serve")


class AppArgs(BaseModel):
    """What an application is built from. Figures here are of the deployment; those of a variant are in the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: Path | None = None
    """The one that comes with the package when None."""
    variants: tuple[str, ...] = ()
    """Only these are served, with the stages of cascades, and all start at once. When empty, all of the catalog are
    served, and the default one starts at once."""
    default: str | None = None
    """Answers requests that name no model, instead of the catalog's default."""
    models_dir: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Dtype | None = None
    accelerator: Annotated[str, Field(min_length=1)] | None = None
    """Each replica reserves its share of a GPU of this kind, as Ray calls it (`V100`): nodes with others are not taken.
    With device cpu it computes on the CPU all the same, so that scaling can be rehearsed where there are no GPUs. A
    worker group of KubeRay that starts from no node has to name `accelerator_type:V100` in its `resources`."""
    threads_per_scorer: Annotated[int, Field(ge=1)] = 1
    reserve_cpus: bool = True
    """Whether each replica reserves its CPUs in Ray. On one machine that all variants share, the second would then
    never find a place."""
    router_replicas: Annotated[int, Field(ge=1)] = 1
    most_replicas: Annotated[int, Field(ge=1)] | None = None
    """Upper bound for every variant's `max_replicas`."""
    limits: Limits = Limits()
    keys: Path | None = None
    """File of API keys, on every node that runs a router."""
    open: bool = False
    """Whether everybody is answered, without keys: only where nobody else can reach the service."""
    redis_url: SecretStr | None = None
    """Shares rate limits and usage among routers."""
    redis_password_file: Path | None = None
    """Holds the password of `redis_url`, as a mounted Secret does: everybody who may look at a cluster sees the URL."""
    usage: UsageSettings = UsageSettings()
    routes: Path | None = None
    """File of routes. The router's `user_config` in a Serve configuration has the same content, wins over it, and can
    be changed while the application runs."""


def build(args: AppArgs) -> Application:
    """The application; raises ConfigurationError."""
    _require_keys(args)
    catalog = served_catalog(args)
    device = _device(args)
    scorers = {name: _scorer(variant, catalog, device, args) for name, variant in catalog.variants.items()}
    router = serve.deployment(
        name="router",
        num_replicas=args.router_replicas,
        max_ongoing_requests=REQUESTS_IN_ROUTER,
        graceful_shutdown_timeout_s=_drain_s(args),
        user_config=_routes(args, catalog).model_dump(mode="json"),
        ray_actor_options={"num_cpus": 1 if args.reserve_cpus else 0},
    )(Router)
    url = redis_url(args)
    desk = None if args.router_replicas == 1 else _desk(url, args)
    return router.bind(catalog, RouterOptions(args.limits, args.usage, args.keys, url), scorers, desk)


def _desk(url: str | None, args: AppArgs) -> Application:
    """One replica, whatever there is to do: it holds what the routers agree on. Lost, it knows it again from them."""
    options = {"num_cpus": 0.1 if args.reserve_cpus else 0}
    desk = serve.deployment(
        name=DESK, num_replicas=1, max_ongoing_requests=REQUESTS_IN_ROUTER, ray_actor_options=options
    )
    return desk(TrafficDesk).bind(url)


def _routes(args: AppArgs, catalog: Catalog) -> RouteTable:
    return RouteTable() if args.routes is None else load_routes(args.routes, catalog)


def redis_url(args: AppArgs) -> str | None:
    """The URL with its password; raises ConfigurationError when there is a file for one and it gives none."""
    if args.redis_url is None:
        return None
    url = args.redis_url.get_secret_value()
    if args.redis_password_file is None:
        return url
    try:
        password = args.redis_password_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"the Redis password cannot be read from {args.redis_password_file}: {error.strerror}"
        ) from None
    parts = urlsplit(url)
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def _require_keys(args: AppArgs) -> None:
    if args.keys is None and not args.open:
        raise ConfigurationError(
            "nothing says who may ask: give the file of API keys (`rerank keys create NAME` makes one), or choose open"
        )
    if args.keys is not None:
        if args.open:
            raise ConfigurationError("API keys and open exclude each other: choose one")
        read_keys(args.keys)
    if args.redis_url is None and args.router_replicas > 1:
        _log.warning("%d routers without a Redis: each counts rate limits alone", args.router_replicas)


def served_catalog(args: AppArgs) -> Catalog:
    """The variants that the application serves; raises ConfigurationError."""
    catalog = load_catalog(args.catalog or default_catalog_path())
    if args.variants:
        catalog = catalog.only(args.variants)
    if args.default:
        catalog = catalog.with_default(args.default)
    return catalog if args.dtype is None else catalog.in_dtype(args.dtype)


def _device(args: AppArgs) -> Device:
    if args.device != "auto":
        return args.device  # unchecked: a cluster that scales its GPU nodes from zero has none yet
    if not ray.is_initialized():  # `serve run` builds the application before it starts Ray (2.60.0)
        raise ConfigurationError("device auto asks a running Ray for its GPUs, and none runs: say device=cpu or cuda")
    return "cuda" if ray.cluster_resources().get("GPU", 0) > 0 else "cpu"


def deployment_options(variant: Variant, at_once: bool, device: Device, args: AppArgs) -> dict[str, Any]:
    """How Ray Serve runs a variant: from no replica (one when it starts `at_once`) to many, each on its GPU share."""
    resources: dict[str, Any] = {"num_cpus": args.threads_per_scorer if args.reserve_cpus else 0}
    if device == "cuda" or args.accelerator:
        resources["num_gpus"] = variant.serving.gpu_share
    if args.accelerator:
        resources["accelerator_type"] = args.accelerator
    return {
        "name": variant.name,
        "max_ongoing_requests": REQUESTS_IN_REPLICA,
        "max_queued_requests": REQUESTS_IN_QUEUE,
        "graceful_shutdown_timeout_s": _drain_s(args),
        "ray_actor_options": resources,
        "autoscaling_config": _scaling(variant, at_once, args.most_replicas),
    }


def _scaling(variant: Variant, at_once: bool, most_replicas: int | None) -> dict[str, Any]:
    """Between which bounds, by which policy, how fast."""
    serving = variant.serving
    fewest = max(serving.min_replicas, int(at_once))
    most = max(fewest, min(serving.max_replicas, most_replicas or serving.max_replicas))
    bounds = {
        "min_replicas": fewest,
        "initial_replicas": fewest,
        "max_replicas": most,
        "downscale_to_zero_delay_s": serving.idle_after_s,
    }
    if most == 1:
        return bounds  # to run or not to run Ray decides as well, and replicas need not report
    pacing = Pacing.of(most)
    aim = {"latency_target_ms": serving.latency_target_ms, "requests_in_replica": REQUESTS_IN_REPLICA}
    return {
        **bounds,
        "policy": {"policy_function": SCALING_POLICY, "policy_kwargs": aim},
        # The environment variables that are to replace this field are read by nobody yet (ray 2.60.0).
        "metrics_interval_s": pacing.report_every_s,
        "look_back_period_s": pacing.look_back_s,
        "upscale_delay_s": pacing.up_after_s,
        "downscale_delay_s": pacing.down_after_s,
        "downscaling_factor": pacing.down_share,
    }


def _drain_s(args: AppArgs) -> float:
    """How long a replica that is stopped may end its requests, and a router write what they used; Ray's 20 is less."""
    return args.limits.request_timeout_s + DRAIN_MARGIN_S


def _scorer(variant: Variant, catalog: Catalog, device: Device, args: AppArgs) -> Application:
    at_once = bool(args.variants) or variant in catalog.variants_of(catalog.default_served)
    scorer = serve.deployment(**deployment_options(variant, at_once, device, args))(Scorer)
    given = ScorerOptions(args.models_dir, device, args.threads_per_scorer, args.limits.max_wait_s)
    return scorer.bind(variant, given)
