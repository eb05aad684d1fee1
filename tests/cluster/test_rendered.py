"""What lies in k8s/ is what the code renders, and kustomize makes of it what the code means."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.cluster.objects import Object
from tests.cluster.crd import require_rayservice
from tests.cluster.fleets import pods
from tests.conftest import ROOT

K8S = ROOT / "k8s"
RENDERED = ("base", "monitoring", "overlays")
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
COMMANDS = re.findall(r"rerank (k8s render --out k8s .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make manifests` would write."""
    folder = tmp_path_factory.mktemp("k8s")
    for command in COMMANDS:
        words = [str(folder) if word == "k8s" else word for word in shlex.split(command)[1:]]
        made = CliRunner().invoke(app, ["k8s", *words])
        assert made.exit_code == 0, made.output
    return folder


def _files(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for part in RENDERED for f in (folder / part).rglob("*.yaml")}


def test_the_folder_is_as_the_code_renders_it(rendered: Path) -> None:
    made, there = _files(rendered), _files(K8S)
    stale = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    assert not stale, "k8s/ is stale: `make manifests` renders it"


def test_every_command_has_an_overlay_and_fleets_share_their_base(rendered: Path) -> None:
    assert len(OVERLAYS) == len(COMMANDS)
    assert {"cpu-dev", "incremental-upgrade", "v100-eks", "v100-gke", "v100-onprem"} == set(OVERLAYS)
    shared = {name: text for name, text in _files(rendered).items() if not name.startswith("overlays")}
    alone = rendered / "alone"
    made = CliRunner().invoke(app, ["k8s", "render", "--cloud", "aks", "--host", "a.example.org", "--out", str(alone)])
    assert made.exit_code == 0
    assert {name: text for name, text in _files(alone).items() if not name.startswith("overlays")} == shared


def kustomize(folder: Path) -> list[Object]:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, for the kustomize in it")
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_every_overlay(overlay: str) -> None:
    objects = kustomize(K8S / "overlays" / overlay)
    kinds = {each["kind"] for each in objects}
    assert {"Namespace", "RayService", "StatefulSet", "Service", "NetworkPolicy", "Ingress"} <= kinds
    assert ("PrometheusRule" in kinds, "Job" in kinds) == ((True, True) if overlay != "cpu-dev" else (False, False))
    [rayservice] = [each for each in objects if each["kind"] == "RayService"]
    require_rayservice(rayservice)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_makes_what_is_printed(overlay: str) -> None:
    [command] = [c for c in COMMANDS if _overlay_of(c) == overlay]
    printed = CliRunner().invoke(app, ["k8s", "render", *shlex.split(command)[4:]])
    objects = list(yaml.safe_load_all(printed.stdout))
    assert _by_name(objects) == _by_name(kustomize(K8S / "overlays" / overlay))


def _overlay_of(command: str) -> str:
    cloud = command.split("--cloud ")[1].split()[0]
    if "--upgrade" in command:
        return "incremental-upgrade"
    return "cpu-dev" if cloud == "none" else f"v100-{cloud}"


def _by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def test_an_overlay_of_ones_own_names_image_and_namespace(tmp_path: Path) -> None:
    """As k8s/README.md says it."""
    shutil.copytree(K8S, tmp_path / "k8s")
    mine = tmp_path / "mine"
    mine.mkdir()
    image = {"name": "registry.invalid/rerank-serve", "newName": "registry.example.com/rerank", "digest": DIGEST}
    body = {"resources": ["../k8s/overlays/v100-gke"], "namespace": "search", "images": [image]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(body))
    objects = kustomize(mine)
    assert {each["metadata"].get("namespace", "search") for each in objects} == {"search"}
    images = {container["image"] for _, pod in pods(objects) for container in pod["spec"]["containers"]}
    assert images == {f"registry.example.com/rerank@{DIGEST}", "docker.io/library/redis:8.2"}


def test_kustomize_would_notice_a_file_that_is_missing(tmp_path: Path) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    (tmp_path / "k8s/base/redis.yaml").unlink()
    with pytest.raises(AssertionError, match=r"redis\.yaml"):
        kustomize(tmp_path / "k8s/overlays/cpu-dev")


def test_the_readme_names_what_is_there() -> None:
    text = (K8S / "README.md").read_text()
    assert set(re.findall(r"overlays/([\w-]+)", text)) <= set(OVERLAYS)
    help_text = CliRunner().invoke(app, ["k8s", "render", "--help"], env={"COLUMNS": "200"}).stdout
    told = re.findall(r"rerank k8s render((?:[^\n`]|\\\n)+)", text)
    options = {option for words in told for option in re.findall(r"--[a-z-]+", words)}
    assert options
    assert options <= set(re.findall(r"--[a-z-]+", help_text))
    secrets = {each["metadata"]["name"] for each in yaml.safe_load_all((K8S / "secrets.example.yaml").read_text())}
    assert secrets == set(re.findall(r"create secret \w+ (rerank-[a-z]+)", text))
