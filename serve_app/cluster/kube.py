"""The only home of the Kubernetes client: apply, read, change, delete, follow a log.

Objects come in as dicts and go out as dicts; what the API server refuses becomes a sentence. It knows no kind by name:
the cluster is asked what it has, and that is kept for one command and nowhere else. The client is imported when a
cluster is asked: that takes a second, and where the service runs it is not installed.
"""

import contextlib
import json
import weakref
from collections.abc import Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from serve_app.cluster.objects import NAMESPACE, Object
from serve_app.errors import RerankError
from serve_app.packages import require_packages

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException

APPLIER = "rerank"
"""The field manager that owns what manifests say."""
CHANGER = "rerank-routes"
"""The one that changes routes in place. What differs between these two is never a conflict."""
TIMEOUT_S = (5, 30)
"""To connect, and until the answer is there."""


class KubernetesError(RerankError):
    """The cluster cannot be reached, or refuses."""


class NoSuchKind(KubernetesError):
    """The cluster has no definition of it."""


class Conflict(KubernetesError):
    """Somebody else has changed it, or owns what was to be changed."""


class Kube:
    """One cluster: that of the current context of the kubeconfig, or the one whose pod this runs in."""

    def __init__(self, context: str | None = None) -> None:
        """Raises KubernetesError where no cluster is configured, or none answers."""
        require_packages("kubernetes", brought_by="rerank-serve[cluster]")
        from kubernetes import client
        from kubernetes.dynamic import DynamicClient, LazyDiscoverer

        _load(context)
        self._api = client.ApiClient()
        folder = TemporaryDirectory(prefix="rerank-kinds-")  # by default a file that others can write
        weakref.finalize(self, folder.cleanup)
        with self._asked("what kinds it has"):
            self._dynamic = DynamicClient(  # type: ignore[no-untyped-call]
                self._api, cache_file=f"{folder.name}/kinds.json", discoverer=LazyDiscoverer
            )

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    def apply(self, made: Object, *, rehearse: bool = False, force: bool = False) -> Object:
        """Make or change an object as the manifest says; `rehearse` only tells what would come of it.

        Raises Conflict where somebody else owns what differs, unless by force; NoSuchKind.
        """
        given: dict[str, Any] = {"field_manager": APPLIER, "query_params": [("fieldValidation", "Strict")]}
        if rehearse:
            given["dry_run"] = "All"
        try:
            return self._ask("server_side_apply", made, body=made, force_conflicts=force, **given)
        except Conflict as conflict:
            if force or not isinstance(conflict, _Owned) or conflict.owners - {APPLIER, CHANGER}:
                raise
            return self._ask("server_side_apply", made, body=made, force_conflicts=True, **given)

    def read(self, made: Object) -> Object | None:
        """The object of this kind and name as it is; None where there is none. Raises NoSuchKind."""
        try:
            return self._ask("get", made)
        except _Missing:
            return None

    def change(self, live: Object, changes: Mapping[str, Any]) -> Object:
        """Change fields of an object that was read, unless it was changed since: then Conflict is raised."""
        version = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}}
        content_type = "application/merge-patch+json"
        return self._ask("patch", live, body={**version, **changes}, content_type=content_type, field_manager=CHANGER)

    def delete(self, made: Object) -> bool:
        """Delete it, and in the background what it owns; whether there was one."""
        try:
            self._ask("delete", made, propagation_policy="Background")
        except (_Missing, NoSuchKind):
            return False
        return True

    def listed(self, api_version: str, kind: str, selector: str | None = None) -> list[Object]:
        """All of the fleet's namespace that have these labels; raises NoSuchKind."""
        found = self._ask("get", {"apiVersion": api_version, "kind": kind}, label_selector=selector)
        return [{"apiVersion": api_version, "kind": kind, **each} for each in found["items"]]

    def log(self, pod: str, container: str, *, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of a container's log, and with `follow` those to come, without an end of their own."""
        from kubernetes import client

        with self._asked(f"the log of {container} in {pod}"):
            stream: Any = client.CoreV1Api(self._api).read_namespaced_pod_log(
                pod, NAMESPACE, container=container, tail_lines=lines, follow=follow, _preload_content=False
            )
            rest = b""
            for chunk in stream.stream():
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            if rest:
                yield rest.decode(errors="replace")

    def _ask(self, verb: str, of: Object, **given: Any) -> Object:
        metadata = of.get("metadata", {})
        name = metadata.get("name")
        what = f"{of['kind']} {name}" if name else of["kind"]
        with self._asked(what):
            resource = self._dynamic.resources.get(api_version=of["apiVersion"], kind=of["kind"])
            namespace = metadata.get("namespace", None if name else NAMESPACE)
            answer = getattr(resource, verb)(name=name, namespace=namespace, _request_timeout=TIMEOUT_S, **given)
            told: Object = answer.to_dict()
            return told

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Turns the client's errors into ours."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import ResourceNotFoundError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ResourceNotFoundError:
            raise NoSuchKind(f"the cluster at {self.host} has no definition of the kind of {what}") from None
        except ApiException as error:
            raise _refusal(what, error) from None
        except (HTTPError, OSError) as error:
            raise KubernetesError(f"the cluster at {self.host} does not answer ({_short(error)})") from None
        except (KeyError, ValueError):
            raise KubernetesError(f"{self.host} does not answer as Kubernetes does: {what}") from None


def _load(context: str | None) -> None:
    from kubernetes import config

    try:
        config.load_kube_config(context=context)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        if context is None:
            with contextlib.suppress(config.ConfigException):
                config.load_incluster_config()  # type: ignore[no-untyped-call]
                return
        raise KubernetesError(
            f"no cluster is configured ({error}): name a kubeconfig in KUBECONFIG, and its context with --context"
        ) from None


class _Missing(KubernetesError):
    pass


class _Owned(Conflict):
    """With who owns what differs."""

    owners: frozenset[str] = frozenset()


def _refusal(what: str, error: "ApiException") -> KubernetesError:
    told = _status(error.body)
    message = told.get("message") or error.reason or f"status {error.status}"
    causes = [cause for cause in told.get("details", {}).get("causes", ()) if cause.get("reason") == _OWNED]
    if error.status == 409 and causes:
        fields = "; ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
        owned = _Owned(f"{what} has fields that somebody else owns: {fields}. --force takes them over")
        owned.owners = frozenset(_owner(cause["message"]) for cause in causes)
        return owned
    if error.status == 409:
        return Conflict(f"{what} was changed by somebody else meanwhile: look at it, and try again")
    if error.status == 404:
        return _Missing(f"{what}: {message}")
    if error.status in {401, 403}:
        return KubernetesError(f"the cluster does not let you do that to {what}: {message}")
    return KubernetesError(f"the cluster refuses {what}: {message}")


_OWNED = "FieldManagerConflict"


def _owner(message: str) -> str:
    """Of a cause such as `conflict with "kubectl" using v1`."""
    parts = message.split('"')
    return parts[1] if len(parts) > 1 else message


def _status(body: Any) -> dict[str, Any]:
    """The Status object that a refusal brings; empty where it is none, as from a proxy in between."""
    try:
        told = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2]
