"""CrossEncoder on Ray Serve as its tutorial on batching has it: pairs of all requests in batches of 32, after 10 ms.

python -m loadtest.peers.ray_serve_server FOLDER PORT
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from starlette.requests import Request

OBJECT_STORE_BYTES = 100 * 2**20
BATCH = 32
WAIT_S = 0.01
ONGOING = 256
"""Requests that the replica holds at a time; with Ray's 5, batches could not fill from many small ones."""


def serve_until_stopped(folder: str, port: int) -> None:
    """Serve on loopback until SIGINT or SIGTERM, on a Ray that nobody else can reach."""
    # Ray reads these when it is imported. It binds every interface unless it believes that clusters are impossible
    # here (2.60.0); one port stays open to all even then, which the token keeps shut.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray import serve

    made = Path(tempfile.mkdtemp(prefix="ray-"))
    stopped = (signal.SIGINT, signal.SIGTERM)
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(made),
        )
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(_ranker().bind(folder), route_prefix="/v1/rerank")
        signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
        signal.sigwait(stopped)
    finally:
        ray.shutdown()
        shutil.rmtree(made, ignore_errors=True)


def _ranker() -> Any:
    """The deployment; Ray gives a replica's libraries as many threads as it reserves CPUs."""
    from ray import serve

    @serve.deployment(max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": os.cpu_count() or 1})
    class Ranker:
        """One replica that has the whole machine."""

        def __init__(self, folder: str) -> None:
            from sentence_transformers import CrossEncoder

            self._model = CrossEncoder(folder, max_length=512, device="cpu")

        @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_S)
        async def score(self, pairs: list[tuple[str, str]]) -> list[float]:
            """Of any requests' pairs."""
            scores = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
            return [float(score) for score in scores]

        async def __call__(self, request: Request) -> dict[str, list[dict[str, float]]]:
            body = await request.json()
            # mypy sees the method as it is written; serve.batch takes one pair and gives one score.
            asked: list[Any] = [self.score((body["query"], document)) for document in body["documents"]]
            scores = await asyncio.gather(*asked)
            ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
            return {"results": [{"index": index, "relevance_score": scores[index]} for index in ranked]}

    return Ranker


if __name__ == "__main__":
    serve_until_stopped(sys.argv[1], int(sys.argv[2]))
