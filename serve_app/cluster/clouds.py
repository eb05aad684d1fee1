"""Where a fleet runs: how each cloud names its V100 nodes, and the storage that many nodes may mount.

A cloud's name comes in, its words go out. It knows nothing of pods.
"""

from dataclasses import dataclass
from enum import StrEnum


class Cloud(StrEnum):
    """A kind of Kubernetes cluster; NONE has no GPU, and serves what comes with the package."""

    GKE = "gke"
    EKS = "eks"
    AKS = "aks"
    ONPREM = "onprem"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class V100Nodes:
    """Nodes with V100s of 16 GB."""

    label: str
    value: str
    storage_class: str | None
    """Of volumes that many nodes mount at once; None is the cluster's default class."""


V100_NODES = {
    Cloud.GKE: V100Nodes("cloud.google.com/gke-accelerator", "nvidia-tesla-v100", "standard-rwx"),
    # One V100 and 8 vCPUs; EKS has no label for the kind of GPU.
    Cloud.EKS: V100Nodes("node.kubernetes.io/instance-type", "p3.2xlarge", "efs-sc"),
    # AKS labels nodes with their pool, not with their GPU: the pool of Standard_NC6s_v3 nodes is to be named v100.
    Cloud.AKS: V100Nodes("kubernetes.azure.com/agentpool", "v100", "azurefile-csi-premium"),
    # Set by NVIDIA's GPU feature discovery. A PCIe card is a Tesla-V100-PCIE-16GB.
    Cloud.ONPREM: V100Nodes("nvidia.com/gpu.product", "Tesla-V100-SXM2-16GB", None),
}
