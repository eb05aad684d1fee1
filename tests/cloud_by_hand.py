"""`python -m tests.cloud_by_hand` starts the fake cloud and says its URL, until Ctrl-C: to load its autoscaling.

One thread a replica, so that on a machine of two cores the second one is worth something; a V100 each, three at most.
"""

import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from serve_app.catalog_file import default_catalog_path, load_catalog
from tests.fake_cloud import fake_cloud, write_catalog

PACING = {"report_every_s": 1.0, "look_back_s": 5.0, "up_after_s": 2.0, "down_after_s": 20.0}
"""Down after 20 s instead of two minutes, for a run of minutes to show it."""


def main() -> None:
    with TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog.yaml"
        write_catalog(load_catalog(default_catalog_path()), catalog, gpu_share=1, max_replicas=3, idle_after_s=30)
        arguments = {
            "catalog": str(catalog),
            "device": "cpu",
            "accelerator": "V100",
            "open": True,
            "threads_per_scorer": 1,
        }
        with fake_cloud(arguments, PACING) as cloud:
            sys.stdout.write(f"{cloud.url}\n")
            sys.stdout.flush()
            while True:
                time.sleep(60)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the cloud would outlive it
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
