import pytest
import yaml
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.errors import ConfigurationError

IMAGE = f"registry.example.com/rerank@sha256:{'b' * 64}"


def _render(*options: str) -> Result:
    return CliRunner().invoke(app, ["k8s", "render", *options])


def test_what_is_printed_is_for_kubectl_and_what_is_told_is_not_in_it() -> None:
    made = _render("--cloud", "eks", "--image", IMAGE, "--host", "rerank.example.org")
    objects = list(yaml.safe_load_all(made.stdout))
    assert objects[0]["kind"] == "Namespace"  # before what is in it
    assert "rerank.example.org" in made.stdout
    assert "registry.invalid" not in made.stdout
    assert made.stderr == "V100 1: minilm-l12 (0.25 of it)\n"


def test_a_placeholder_is_told() -> None:
    assert (
        "the image is a placeholder, which no node can pull: name yours with --image"
        in _render("--cloud", "gke").stderr
    )


def test_variants_start_at_once_and_the_first_answers() -> None:
    made = _render("--cloud", "gke", "--image", IMAGE, "--variants", "minilm-l6, electra-base", "--most-gpus", "1")
    assert made.stderr == "V100 1: electra-base, minilm-l6 (0.75 of it)\n"
    assert "default: minilm-l6\n" in made.stdout
    assert "- electra-base\n" in made.stdout


def test_a_default_may_be_any_name_of_the_catalog() -> None:
    assert "default: l2-then-l12\n" in _render("--cloud", "gke", "--default", "l2-then-l12").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cloud", "gke", "--image", "rerank:latest"], "name it by its digest"),
        (["--cloud", "gke", "--variants", "minilm-l7"], "the catalog has no variant 'minilm-l7'"),
        (["--cloud", "none", "--variants", "minilm-l12"], "has no GPU and no volume of weights"),
        (
            ["--cloud", "gke", "--variants", "electra-base,nboost-bert-large", "--most-gpus", "1"],
            "= 1.50 takes 2 V100s",
        ),
        (["--cloud", "gke", "--host", "https://rerank"], "is no DNS name"),
        (["--cloud", "gke", "--out", "/dev/null/k8s"], "/dev/null/k8s cannot be written"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(options: list[str], said: str) -> None:
    made = _render(*options)
    assert isinstance(made.exception, ConfigurationError)
    assert said in str(made.exception)


def test_limits_of_the_environment_reach_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_LIMITS__REQUEST_TIMEOUT_S", "100")
    printed = _render("--cloud", "gke").stdout
    assert "request_timeout_s: 100.0" in printed
    assert "terminationGracePeriodSeconds: 130" in printed
    assert "proxy-read-timeout: '110'" in printed


def test_help_names_the_clouds() -> None:
    told = CliRunner().invoke(app, ["k8s", "render", "--help"], env={"COLUMNS": "200"}).stdout
    assert "gke|eks|aks|onprem|none" in told
