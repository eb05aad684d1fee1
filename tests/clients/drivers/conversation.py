"""How a driver speaks with the tests: a line of JSON in for each call, a line of JSON out with what the client did.

It runs in the environments of the clients and uses nothing but the standard library. It leaves no connection to
anywhere but loopback: a client that asks for another host is refused, and the answer says which host that was.
"""

import ipaddress
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Mapping

Operation = Callable[..., object]


def converse(operations: Mapping[str, Operation], in_vain: Collection[str] = ()) -> None:
    """Answer calls until the input ends. What packages print goes to the error stream, so that answers stay readable.

    Hosts `in_vain` are refused like all others, and not reported.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    refused = _stay_on_loopback()
    for line in sys.stdin:
        call = json.loads(line)
        refused.clear()
        outcome = _outcome(operations[call["operation"]], call["arguments"])
        answers.write(json.dumps({**outcome, "refused_hosts": sorted({*refused} - {*in_vain})}) + "\n")
        answers.flush()


def _outcome(operation: Operation, arguments: Mapping[str, object]) -> dict[str, object]:
    try:
        return {"returned": operation(**arguments)}
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the result of the test
        traceback.print_exc()
        kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
        return {"raised": {"kinds": kinds, "status": _status(error), "message": str(error)}}


def _status(error: BaseException) -> int | None:
    """The HTTP status, under the names that clients give it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "http_status"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None


def _stay_on_loopback() -> list[str]:
    refused: list[str] = []
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def resolve_here(host: object, *rest: object, **options: object) -> object:
        return resolve(_local(host, refused), *rest, **options)  # type: ignore[arg-type]

    def connect_here(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple):
            _local(address[0], refused)
        connect(self, address)  # type: ignore[arg-type]

    socket.getaddrinfo = resolve_here  # type: ignore[assignment]
    socket.socket.connect = connect_here  # type: ignore[method-assign,assignment]
    return refused


def _local(host: object, refused: list[str]) -> object:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name != "localhost" and not _is_loopback(name):
        refused.append(name)
        raise OSError(f"{name} is not on this machine")
    return host


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
