"""A running service, as the commands see it: one HTTP client, whose failures are sentences."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from serve_app.errors import RerankError
from serve_app.settings import read_settings

TIMEOUT_S = 300.0
"""A first request may wait for its model to be downloaded."""


class ServiceError(RerankError):
    """The service cannot be reached, or refused the request."""


class ServiceClient:
    """Talks to the service at `url`."""

    def __init__(self, url: str | None) -> None:
        """`url`: that of the settings when None; the key is theirs as well."""
        settings = read_settings()
        self._url = (url or settings.url).rstrip("/")
        key = settings.api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._http = httpx.Client(base_url=self._url, timeout=TIMEOUT_S, headers=headers)

    def rerank(self, query: str, documents: Sequence[str], model: str | None, top_n: int | None) -> dict[str, Any]:
        """The reply of `POST /v1/rerank`; raises ServiceError."""
        return self._ask("POST", "/v1/rerank", {"query": query, "documents": documents, "model": model, "top_n": top_n})

    def models(self) -> list[dict[str, Any]]:
        """The entries of `GET /v1/models`; raises ServiceError."""
        listed: list[dict[str, Any]] = self._ask("GET", "/v1/models")["data"]
        return listed

    def short_name(self, name: str) -> str:
        """Of the variant or cascade that is called so, by any of its names; raises ServiceError."""
        wanted = name.strip().casefold()
        for model in self.models():
            if wanted in {each.casefold() for each in (model["name"], model["id"], *model["aliases"])}:
                return str(model["name"])
        raise ServiceError(f"the service has no variant {name!r}; `rerank models` lists them")

    def usage(self, first: date, last: date, by: Sequence[str]) -> dict[str, Any]:
        """The reply of `GET /v1/usage`; raises ServiceError."""
        days = {"from": first.isoformat(), "to": last.isoformat()}
        return self._ask("GET", f"/v1/usage?{urlencode({**days, 'group_by': ','.join(by)})}")

    def routes(self) -> dict[str, Any]:
        """The reply of `GET /admin/routes`; raises ServiceError."""
        return self._ask("GET", "/admin/routes")

    def put_route(self, name: str, terms: Mapping[str, Any], version: int) -> dict[str, Any]:
        """Make or change a route, if nothing was changed since that version; raises ServiceError."""
        return self._ask("PUT", f"/admin/routes/{quote(name, safe='')}", terms, version)

    def remove_route(self, name: str, version: int) -> dict[str, Any]:
        """Likewise for its removal."""
        return self._ask("DELETE", f"/admin/routes/{quote(name, safe='')}", None, version)

    def undo_routes(self, version: int) -> dict[str, Any]:
        """Likewise for the last change."""
        return self._ask("POST", "/admin/routes/undo", None, version)

    def disagreements(self, name: str) -> list[dict[str, Any]]:
        """The worst of a route; raises ServiceError."""
        found: list[dict[str, Any]] = self._ask("GET", f"/admin/routes/{quote(name, safe='')}/disagreements")["data"]
        return found

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, version: int | None = None
    ) -> dict[str, Any]:
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        try:
            response = self._http.request(method, path, json=body, headers=headers)
        except httpx.TimeoutException:
            raise ServiceError(f"{self._url} did not answer within {TIMEOUT_S:g} s") from None
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ServiceError(
                f"no service answers at {self._url} ({error}): start one with `rerank serve`, or name its address "
                "with --url or RERANK_URL"
            ) from None
        try:
            answer: dict[str, Any] = response.json()
            if response.is_success:
                return answer
            raise ServiceError(_hint(response.status_code) or answer["error"]["message"])
        except (ValueError, KeyError, TypeError):
            raise ServiceError(
                f"{self._url}{path} answered {response.status_code} and not as a rerank service does"
            ) from None


def _hint(status: int) -> str | None:
    """What a person at a terminal does about it."""
    if status == httpx.codes.UNAUTHORIZED:
        return "the service wants an API key: put one into RERANK_API_KEY (`rerank keys create` makes one)"
    return None
