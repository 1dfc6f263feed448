"""Settings of a spawner -> the fields of a Workspace's spec (pure)."""

from typing import Any

from traitlets import Bool, Dict, HasTraits, Integer, List, Unicode, Union, validate

# Parts of `spec.affinity`, by the trait that each comes from.
_AFFINITY = {
    "node_affinity_preferred": ("nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"),
    "node_affinity_required": ("nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"),
    "pod_affinity_preferred": ("podAffinity", "preferredDuringSchedulingIgnoredDuringExecution"),
    "pod_affinity_required": ("podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"),
    "pod_anti_affinity_preferred": ("podAntiAffinity", "preferredDuringSchedulingIgnoredDuringExecution"),
    "pod_anti_affinity_required": ("podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"),
}


def _terms(what: str):
    return Union([List(), Dict()], help=f"{what}: a list, or a dict whose values count by order of keys").tag(config=True)


class Settings(HasTraits):
    """Traits with KubeSpawner's names and meanings that become fields of the Workspace, within the template's bounds."""

    image = Unicode(None, allow_none=True, help="Image, or an alias that the template knows. Unset: the template's.").tag(config=True)
    port = Integer(8888, help="Port on which the server listens in its pod").tag(config=True)
    storage_capacity = Unicode(None, allow_none=True, help="Size of a new disk, such as 10Gi. Unset: the template's.").tag(config=True)
    storage_class = Unicode(None, allow_none=True, help="Storage class of a new disk. Unset: the template's.").tag(config=True)
    pvc_name_template = Unicode(
        None, allow_none=True, help="Name of an existing claim that is the home, with {username} and so on. Unset: a disk of its own."
    ).tag(config=True)
    storage_sub_path = Unicode("", help="Folder of that claim, with {username} and so on").tag(config=True)
    extra_resource_limits = Dict(help="Further limits by name, such as nvidia.com/gpu").tag(config=True)
    extra_resource_guarantees = Dict(help="Further requests by name").tag(config=True)
    node_selector = Dict(help="Labels of nodes").tag(config=True)
    tolerations = Union([List(), Dict()], help="Taints that the pod tolerates").tag(config=True)
    node_affinity_preferred = _terms("Preferred nodes")
    node_affinity_required = _terms("Required nodes")
    pod_affinity_preferred = _terms("Pods to be near, preferred")
    pod_affinity_required = _terms("Pods to be near, required")
    pod_anti_affinity_preferred = _terms("Pods to be away from, preferred")
    pod_anti_affinity_required = _terms("Pods to be away from, required")
    common_labels = Dict(help="Labels of each workspace").tag(config=True)
    extra_labels = Dict(help="Further labels, with {username} and so on").tag(config=True)
    extra_annotations = Dict(help="Annotations of the pod that the template allows, with {username} and so on").tag(config=True)
    delete_pvc = Bool(True, help="Whether a server that is deleted for ever loses its disk").tag(config=True)

    @validate("port")
    def _port(self, proposal):
        if not 1024 <= proposal.value <= 65535:
            raise ValueError(f"port must be from 1024 to 65535, it is {proposal.value}: a pod without rights has no lower one")
        return proposal.value


def spec(of: Any, expand) -> dict:
    """The fields that are set. `expand` replaces `{username}` and so on in text."""
    found = {
        "image": expand(of.image) if of.image else None,
        "port": of.port,
        "resources": resources(of),
        "nodeSelector": expand(of.node_selector),
        "tolerations": expand(_list(of.tolerations)),
        "affinity": affinity(of, expand),
        "podAnnotations": expand(of.extra_annotations),
        "storage": storage(of, expand),
    }
    return {key: value for key, value in found.items() if value}


def resources(of: Any) -> dict:
    sides = {
        "limits": {"cpu": of.cpu_limit, "memory": of.mem_limit, **of.extra_resource_limits},
        "requests": {"cpu": of.cpu_guarantee, "memory": of.mem_guarantee, **of.extra_resource_guarantees},
    }
    found = {side: {name: quantity(value) for name, value in values.items() if value} for side, values in sides.items()}
    return {side: values for side, values in found.items() if values}


def quantity(value: Any) -> str:
    """Kubernetes' way to write an amount; JupyterHub has bytes and cores as numbers."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def affinity(of: Any, expand) -> dict:
    found: dict = {}
    for trait, (kind, strength) in _AFFINITY.items():
        terms = expand(_list(getattr(of, trait)))
        if terms:
            nodes = trait == "node_affinity_required"
            found.setdefault(kind, {})[strength] = {"nodeSelectorTerms": terms} if nodes else terms
    return found


def storage(of: Any, expand) -> dict:
    if of.pvc_name_template:
        sub = expand(of.storage_sub_path)
        return {"claimName": expand(of.pvc_name_template), **({"subPath": sub} if sub else {})}
    found = {"size": of.storage_capacity, "storageClassName": of.storage_class}
    return {key: value for key, value in found.items() if value}


def _list(value: Any) -> list:
    return [value[key] for key in sorted(value)] if isinstance(value, dict) else list(value)
