from typing import Any

import pytest

from serve_app.cluster.status import fleet_status, why_not_ready

SIDE = {
    "rayClusterName": "rerank-abc",
    "applicationStatuses": {
        "rerank": {
            "status": "RUNNING",
            "serveDeploymentStatuses": {
                "router": {"status": "HEALTHY"},
                "minilm-l12": {"status": "UPSCALING", "message": "waits for a node"},
            },
        }
    },
}
PENDING = {
    "rayClusterName": "rerank-def",
    "applicationStatuses": {"rerank": {"status": "DEPLOY_FAILED", "message": "no such file: keys.json"}},
}


def rayservice(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "rerank"}, "status": status}


def pod(name: str = "scorer-1", group: str = "scorers", ready: bool = True, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready), "message": "" if ready else "containers with unready status"}]
    return {
        "metadata": {
            "name": name,
            "labels": {"rerank-part": group[:-1], "ray.io/cluster": "rerank-abc", "ray.io/group": group},
        },
        "spec": {"nodeName": "node-7"},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"name": "ray-scorer", "state": {"waiting": {"reason": reason, "message": message}}}


def test_conditions_say_whether_it_answers() -> None:
    holds = {"type": "Ready", "status": "True", "reason": "NonZeroServeEndpoints", "message": ""}
    assert fleet_status(rayservice(conditions=[holds]), [], []).ready
    assert not fleet_status(rayservice(conditions=[{**holds, "status": "False"}]), [], []).ready
    assert not fleet_status(rayservice(conditions=[{**holds, "type": "UpgradeInProgress"}]), [], []).ready
    assert not fleet_status({"metadata": {}}, [], []).ready


def test_deployments_of_both_clusters_while_one_replaces_the_other() -> None:
    seen = fleet_status(rayservice(activeServiceStatus=SIDE, pendingServiceStatus=PENDING), [], [])
    assert [(each.name, each.cluster, each.status, each.message) for each in seen.deployments] == [
        ("router", "rerank-abc", "HEALTHY", ""),
        ("minilm-l12", "rerank-abc", "UPSCALING", "waits for a node"),
        ("(the application)", "rerank-def", "DEPLOY_FAILED", "no such file: keys.json"),
    ]


def test_workers_are_counted_by_group_of_the_clusters_in_service() -> None:
    spec = {"workerGroupSpecs": [{"groupName": "scorers", "replicas": 2, "minReplicas": 1, "maxReplicas": 4}]}
    clusters = [{"metadata": {"name": name}, "spec": spec} for name in ("rerank-abc", "rerank-old")]
    pods = [pod(), pod("scorer-2", ready=False), pod("router-1", "routers")]
    [group] = fleet_status(rayservice(activeServiceStatus=SIDE), clusters, pods).groups
    assert (group.name, group.cluster) == ("scorers", "rerank-abc")
    assert (group.ready, group.wanted, group.fewest, group.most) == (1, 2, 1, 4)


def test_pods_by_what_they_are_for() -> None:
    done = {**pod("models-1", "models"), "status": {"phase": "Succeeded"}}
    seen = fleet_status(rayservice(), [], [pod(), done, pod("router-1", "routers", ready=False)]).pods
    assert [(each.part, each.name, each.node, each.ready, each.why) for each in seen] == [
        ("model", "models-1", "node-7", True, "done"),
        ("router", "router-1", "node-7", False, "containers with unready status"),
        ("scorer", "scorer-1", "node-7", True, ""),
    ]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, ""),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient nvidia.com/gpu"}
                ]
            },
            "0/3 nodes: 3 Insufficient nvidia.com/gpu",
        ),
        (
            {"containerStatuses": [waiting("ImagePullBackOff", "Back-off pulling image")]},
            "ray-scorer: ImagePullBackOff: Back-off pulling image",
        ),
        ({"containerStatuses": [waiting("PodInitializing")]}, "ray-scorer: PodInitializing"),
        (
            {"initContainerStatuses": [{"name": "wait-for-weights", "state": {"running": {}}}]},
            "wait-for-weights is at work, and the pod waits for it",
        ),
        (
            {
                "containerStatuses": [
                    {"name": "ray-scorer", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
                ]
            },
            "ray-scorer: ended with 137 (OOMKilled)",
        ),
        ({"initContainerStatuses": [{"name": "wait-for-weights", "state": {"terminated": {"exitCode": 0}}}]}, ""),
        ({"conditions": []}, "it has just been made"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "low on memory"),
        ({"phase": "Failed"}, "failed; its log says why"),
    ],
)
def test_why_a_pod_waits(status: dict[str, Any], why: str) -> None:
    assert why_not_ready(pod(**status)) == why


def test_a_pod_that_is_being_stopped() -> None:
    stopped = pod()
    stopped["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    assert why_not_ready(stopped) == "it is being stopped"
