import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.cluster.kube import APPLIER, CHANGER, Conflict, Kube, KubernetesError, NoSuchKind
from serve_app.cluster.objects import NAMESPACE, Object, cluster_object, kubernetes_object
from serve_app.errors import ConfigurationError
from tests.cluster.kube_api import KubeApi
from tests.cluster.kube_server import kube_api, use, write_kubeconfig

NAMESPACE_OBJECT = cluster_object("v1", "Namespace", NAMESPACE, {})


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with kube_api(tmp_path) as (api, kubeconfig):
        use(monkeypatch, kubeconfig)
        api.put(NAMESPACE_OBJECT)
        yield api


@pytest.fixture
def kube(api: KubeApi) -> Kube:
    return Kube()


def config_map(**data: str) -> Object:
    return kubernetes_object("v1", "ConfigMap", "settings", {"data": data})


def test_what_is_applied_is_applied_by_the_server_under_our_name(api: KubeApi, kube: Kube) -> None:
    kube.apply(config_map(colour="red"))
    asked = api.asked[-1]
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/rerank/configmaps/settings")
    assert asked.content_type == "application/apply-patch+yaml"
    assert asked.query == {"fieldManager": APPLIER, "fieldValidation": "Strict", "force": "false"}
    found = kube.read(config_map())
    assert found is not None
    assert found["data"] == {"colour": "red"}


def test_what_a_manifest_says_no_more_goes(kube: Kube) -> None:
    kube.apply(config_map(colour="red", size="large"))
    assert kube.apply(config_map(size="large"))["data"] == {"size": "large"}


def test_a_rehearsal_changes_nothing(kube: Kube) -> None:
    assert kube.apply(config_map(colour="red"), rehearse=True)["data"] == {"colour": "red"}
    assert kube.read(config_map()) is None


def test_what_belongs_to_no_namespace(api: KubeApi, kube: Kube) -> None:
    kube.apply(cluster_object("scheduling.k8s.io/v1", "PriorityClass", "high", {"value": 1}))
    assert api.asked[-1].path == "/apis/scheduling.k8s.io/v1/priorityclasses/high"


def test_what_somebody_else_owns_is_taken_by_force_alone(api: KubeApi, kube: Kube) -> None:
    kube.apply(config_map(colour="red"))
    [path] = [path for path in api.objects if path.endswith("/settings")]
    api.owners[path]["data", "colour"] = {"kubectl"}
    with pytest.raises(Conflict, match=r'\.data\.colour: conflict with "kubectl".*--force takes them over'):
        kube.apply(config_map(colour="blue"))
    with pytest.raises(Conflict):
        kube.apply(config_map(colour="blue"), rehearse=True)
    assert kube.apply(config_map(colour="red"))["data"] == {"colour": "red"}  # agrees with the owner
    assert kube.apply(config_map(colour="blue"), force=True)["data"] == {"colour": "blue"}


def test_what_was_changed_in_place_is_ours_to_apply(kube: Kube) -> None:
    live = kube.apply(config_map(colour="red"))
    kube.change(live, {"data": {"colour": "blue"}})
    assert kube.apply(config_map(colour="green"))["data"] == {"colour": "green"}


def test_a_change_names_what_it_was_made_from(api: KubeApi, kube: Kube) -> None:
    live = kube.apply(config_map(colour="red"))
    assert kube.change(live, {"data": {"colour": "blue"}})["data"] == {"colour": "blue"}
    assert api.asked[-1].query == {"fieldManager": CHANGER}
    with pytest.raises(Conflict, match="ConfigMap settings was changed by somebody else meanwhile"):
        kube.change(live, {"data": {"colour": "green"}})
    assert api.found("ConfigMap", "settings")["data"] == {"colour": "blue"}


def test_deleting_says_whether_there_was_something(api: KubeApi, kube: Kube) -> None:
    kube.apply(config_map(colour="red"))
    assert kube.delete(config_map())
    assert api.asked[-1].query == {"propagationPolicy": "Background"}
    assert not kube.delete(config_map())


def test_lists_by_label(kube: Kube) -> None:
    kube.apply(config_map(colour="red"))
    [found] = kube.listed("v1", "ConfigMap", "app.kubernetes.io/part-of=rerank")
    assert (found["kind"], found["metadata"]["name"]) == ("ConfigMap", "settings")
    assert kube.listed("v1", "ConfigMap", "app.kubernetes.io/part-of=other") == []


def test_logs_by_line(api: KubeApi, kube: Kube) -> None:
    api.logs["head/ray-head"] = "one\ntwo ö\nthree"
    assert list(kube.log("head", "ray-head", lines=2, follow=False)) == ["two ö", "three"]


def test_a_kind_that_the_cluster_does_not_have(api: KubeApi, kube: Kube) -> None:
    del api.kinds["ray.io/v1"]
    with pytest.raises(NoSuchKind, match="no definition of the kind of RayService rerank"):
        Kube().read(kubernetes_object("ray.io/v1", "RayService", "rerank", {}))


def test_what_the_cluster_refuses_is_said_in_its_words(api: KubeApi, kube: Kube) -> None:
    elsewhere = {**config_map(), "metadata": {"name": "settings", "namespace": "elsewhere"}}
    with pytest.raises(KubernetesError, match='namespaces "elsewhere" not found'):
        kube.apply(elsewhere)
    api.forbidden.add("DELETE")
    with pytest.raises(
        KubernetesError, match="does not let you do that to ConfigMap settings: the user may not DELETE"
    ):
        kube.delete(config_map())


def test_no_cluster_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path / "none")
    with pytest.raises(KubernetesError, match=r"no cluster is configured .*: name a kubeconfig in KUBECONFIG"):
        Kube()
    use(monkeypatch, write_kubeconfig(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(KubernetesError, match=r"the cluster at http://127\.0\.0\.1:9 does not answer \(.*refused"):
        Kube()
    with pytest.raises(KubernetesError, match=r"no cluster is configured .*other"):
        Kube("other")


def test_a_token_that_is_not_known(api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = Kube().host
    use(monkeypatch, write_kubeconfig(tmp_path, url, token="another"))
    with pytest.raises(KubernetesError, match="the cluster does not let you do that to what kinds it has"):
        Kube()


def test_something_else_than_kubernetes(api: KubeApi) -> None:
    api.answer = lambda asked: {"hello": asked.path}  # type: ignore[method-assign]
    with pytest.raises(KubernetesError, match="does not answer as Kubernetes does"):
        Kube()


def test_what_kinds_there_are_is_kept_where_nobody_else_can_change_it(api: KubeApi, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tempfile.tempdir", str(tmp_path))
        kube = Kube()
    kube.read(config_map())
    [folder] = tmp_path.glob("rerank-kinds-*")
    assert folder.stat().st_mode & 0o077 == 0
    assert [file.name for file in folder.iterdir()] == ["kinds.json"]
    del kube
    gc.collect()
    assert not folder.exists()


def test_commands_do_without_the_client_until_a_cluster_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, serve_app.cli; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    monkeypatch.setattr("serve_app.packages.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"this needs kubernetes: install rerank-serve\[cluster\]"):
        Kube()
