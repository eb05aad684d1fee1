"""A fake peer as a command: ranks on PORT, each document in so many seconds, until it is ended.

python -m tests.loadtest.ranking_server PORT [SECONDS_A_DOCUMENT]

With `break` instead of seconds it says so and ends before it ever answers; with `crash`, at the third request.
"""

import os
import sys
import time
from typing import Any

from tests.loadtest.fake_peer import Reply, fake_peer


def main(port: int, how: str) -> None:
    if how == "break":
        sys.exit("\n".join(["starting", "the model has no weights"]))

    def reply(number: int, body: dict[str, Any]) -> Reply:
        if how == "crash":
            if number >= 2:
                print("out of memory", flush=True)  # noqa: T201 - a server's last words
                os._exit(3)
            return Reply()
        return Reply(after_s=float(how) * len(body["documents"]))

    with fake_peer(reply, port=port):
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
