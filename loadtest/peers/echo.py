"""A bare Ray Serve deployment that answers with what it was sent: what Ray itself takes of a request's time.

python -m loadtest.peers.echo [--port 8001]
"""

import argparse
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

OBJECT_STORE_BYTES = 100 * 2**20


class Echo:
    """One replica."""

    async def __call__(self, request: Request) -> Response:
        """The body, as it came."""
        return Response(await request.body(), media_type="application/json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on loopback until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.peers.echo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=8001, help="(8001)")
    given = parser.parse_args(arguments)
    # Ray binds every interface unless it believes that clusters are impossible here (2.60.0); it reads this on import.
    os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")
    import ray
    from ray import serve

    folder = Path(tempfile.mkdtemp(prefix="echo-"))
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )
        serve.start(http_options={"host": "127.0.0.1", "port": given.port})
        echo = serve.deployment(max_ongoing_requests=1_024, ray_actor_options={"num_cpus": 0})(Echo)
        serve.run(echo.bind(), route_prefix="/")
        print(f"echoes at http://127.0.0.1:{given.port}, until Ctrl-C", flush=True)
        for stopping in (signal.SIGINT, signal.SIGTERM):  # Ray has handlers of its own by now
            signal.signal(stopping, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
