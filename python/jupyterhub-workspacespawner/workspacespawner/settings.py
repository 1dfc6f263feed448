"""Settings of a spawner -> the fields of a Workspace's spec (pure)."""

import itertools
from typing import Any

from traitlets import Bool, Dict, HasTraits, Integer, List, Unicode, Union, validate

# `node_affinity_preferred` and so on -> parts of `spec.affinity`.
_KINDS = {"node_affinity": "nodeAffinity", "pod_affinity": "podAffinity", "pod_anti_affinity": "podAntiAffinity"}
_STRENGTHS = {
    "preferred": "preferredDuringSchedulingIgnoredDuringExecution",
    "required": "requiredDuringSchedulingIgnoredDuringExecution",
}


def _terms():
    return Union([List(), Dict()], help="As in a pod: a list, or a dict whose values count by order of keys").tag(config=True)


class Settings(HasTraits):
    """Traits with KubeSpawner's names and meanings that become fields of the Workspace, within the template's bounds."""

    image = Unicode(None, allow_none=True, help="Image, or an alias that the template knows. Unset: the template's.").tag(config=True)
    template_options = Dict(help="Choices of the template's options, by the option's name").tag(config=True)
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
    tolerations = _terms()
    node_affinity_preferred = _terms()
    node_affinity_required = _terms()
    pod_affinity_preferred = _terms()
    pod_affinity_required = _terms()
    pod_anti_affinity_preferred = _terms()
    pod_anti_affinity_required = _terms()
    common_labels = Dict(help="Labels of each workspace").tag(config=True)
    extra_labels = Dict(help="Further labels, with {username} and so on").tag(config=True)
    extra_annotations = Dict(help="Annotations of the pod that the template allows, with {username} and so on").tag(config=True)
    delete_pvc = Bool(True, help="Whether a server that is deleted for ever loses its disk").tag(config=True)

    @validate("port")
    def _port(self, proposal):
        if not 1024 <= proposal.value <= 65535:
            raise ValueError(f"port must be from 1024 to 65535, it is {proposal.value}: only root may listen on lower ones")
        return proposal.value


def spec(of: Any) -> dict:
    """All fields that the traits decide; None: unset."""
    found = {
        "image": of.image,
        "options": of.template_options,
        "port": of.port,
        "resources": resources(of),
        "nodeSelector": of.node_selector,
        "tolerations": _list(of.tolerations),
        "affinity": affinity(of),
        "podAnnotations": of.extra_annotations,
        "storage": storage(of),
    }
    return {name: value or None for name, value in found.items()}


def resources(of: Any) -> dict:
    limits = {"cpu": of.cpu_limit, "memory": of.mem_limit, **of.extra_resource_limits}
    requests = {"cpu": of.cpu_guarantee, "memory": of.mem_guarantee, **of.extra_resource_guarantees}
    sides = {"limits": limits, "requests": requests}
    return _set({side: {name: quantity(value) for name, value in _set(values).items()} for side, values in sides.items()})


def quantity(value: Any) -> str:
    """Kubernetes' way to write an amount; JupyterHub has bytes and cores as numbers."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def affinity(of: Any) -> dict:
    found: dict = {}
    for kind, strength in itertools.product(_KINDS, _STRENGTHS):
        terms = _list(getattr(of, f"{kind}_{strength}"))
        if terms:
            nodes = (kind, strength) == ("node_affinity", "required")
            found.setdefault(_KINDS[kind], {})[_STRENGTHS[strength]] = {"nodeSelectorTerms": terms} if nodes else terms
    return found


def storage(of: Any) -> dict:
    if of.pvc_name_template:
        return _set({"claimName": of.pvc_name_template, "subPath": of.storage_sub_path})
    return _set({"size": of.storage_capacity, "storageClassName": of.storage_class})


def _set(values: dict) -> dict:
    return {name: value for name, value in values.items() if value}


def _list(value: Any) -> list:
    return [value[key] for key in sorted(value)] if isinstance(value, dict) else list(value)
