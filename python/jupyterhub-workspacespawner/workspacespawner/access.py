"""A person and a template -> whether roles of the namespace let that person use it (IO)."""

import time

from traitlets.log import get_logger

from . import objects
from .cluster import Api

KEPT_SECONDS = 10
MOST_KEPT = 4096
# Kubernetes' and kubeadm's own names, such as the groups system:masters and kubeadm:cluster-admins, which may do everything. They are
# KUBERNETES_PREFIXES of crates/api/src/names.rs.
RESERVED = ("system:", "kubeadm:")


class Access:
    """Answers of LocalSubjectAccessReviews, kept for 10 s."""

    def __init__(self, api: Api, namespace: str, clock=time.monotonic):
        self._api, self._namespace, self._clock = api, namespace, clock
        self._kept: dict[tuple, tuple[float, bool]] = {}
        self._told: set[str] = set()

    async def may_use(self, user: str, groups: list[str], template: str) -> bool:
        """Raises what a request raises if the API server does not say."""
        reserved = [name for name in (user, *groups) if name.startswith(RESERVED)]
        if not self._told.issuperset(reserved):
            remedy = "set access_user_prefix and access_group_prefix"
            get_logger().warning("not asked about %s: names that begin with system: or kubeadm: are Kubernetes' own, %s", reserved, remedy)
            self._told.update(reserved)
        if user in reserved:
            return False
        groups = [name for name in groups if name not in reserved]
        key = (user, tuple(sorted(groups)), template)
        kept = self._kept.get(key)
        if kept and self._clock() - kept[0] < KEPT_SECONDS:
            return kept[1]
        attributes = {"namespace": self._namespace, "verb": "use", "group": objects.GROUP, "resource": "workspacetemplates", "name": template}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": self._namespace},
            "spec": {"user": user, "groups": sorted(groups), "resourceAttributes": attributes},
        }
        path = f"/apis/authorization.k8s.io/v1/namespaces/{self._namespace}/localsubjectaccessreviews"
        answer = await self._api.call("POST", path, body=review)
        allowed = answer.get("status", {}).get("allowed") is True
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (self._clock(), allowed)
        return allowed
