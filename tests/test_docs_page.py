"""The page of /docs in a real browser that reaches nothing but the service."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serve_app.router.paths import PLACES
from tests.running import Running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
NOTHING_ELSE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def test_docs_show_the_api_without_any_other_host(service: Running, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    profile, patience = f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000"
    page = subprocess.run(
        [CHROMIUM, *HEADLESS, NOTHING_ELSE, profile, patience, "--dump-dom", f"{service.url}/docs"],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    ).stdout
    shown = {path.replace("\u200b", "") for path in re.findall(r'data-path="([^"]+)"', page)}
    assert {place.path.replace(":path", "") for place in PLACES} <= shown
    assert {"/v1/models", "/v1/models/{model}", "/v1/usage", "/health", "/ready"} <= shown
