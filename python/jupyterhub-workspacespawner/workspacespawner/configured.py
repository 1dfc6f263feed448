"""Configuration -> a spawner's traits, names and what all servers of a hub share (IO)."""

import dataclasses
from pathlib import Path

from jupyterhub.utils import url_path_join
from tornado import ioloop, web
from traitlets import Bool, Callable, Dict, Enum, Float, Integer, List, Unicode, Union, default, validate

from . import launch, names, objects, orphans, profiles, settings
from .access import Access
from .cluster import NOT_IN_A_POD, Api, Cluster, configuration
from .tokens import Verifier

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # before JupyterHub 6
    SpawnException = None

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclasses.dataclass
class Shared:
    """What all servers of one hub in one namespace share."""

    cluster: Cluster
    access: Access
    keys: Verifier
    sweeping: ioloop.PeriodicCallback


class Configured(settings.Settings):
    """The traits, and what follows from them alone."""

    template = Unicode("", help="WorkspaceTemplate of servers whose profile names none").tag(config=True)
    namespace = Unicode(help="Namespace of the workspaces. Unset: the hub's own").tag(config=True)
    hub_name = Unicode("jupyterhub", help="Name of this hub, one per namespace: it tells its workspaces from others").tag(config=True)
    launch_url = Unicode(
        help="URL of the hub's API as pods reach it and profiles write it into tokens' audiences. Unset: as servers get it"
    ).tag(config=True)
    launch_service_account = Unicode("jupyterhub-server", help="Service account of the pods, whose tokens are taken").tag(config=True)
    review_access = Bool(False, help="Whether roles of the namespace decide who may use which template").tag(config=True)
    access_user_prefix = Unicode("hub:", help="Before a user's name in such roles").tag(config=True)
    access_group_prefix = Unicode("hub:", help="Before a group's name in such roles").tag(config=True)
    failure_grace = Float(10, min=0, help="Seconds for which a workspace may be Failed by what does not pass by itself").tag(config=True)
    remove = Bool(False, help="Whether a stop deletes the workspace; its disk is kept").tag(config=True)
    orphans = Enum(["Stop", "Report"], "Stop", help="What becomes of running workspaces that are no server of the hub").tag(config=True)
    profile_list = Union([List(), Dict(), Callable()], help="Profiles, as KubeSpawner's, also with `template`").tag(config=True)
    profile_form_template = Unicode("", help="Jinja2 template of the form").tag(config=True)
    additional_profile_form_template_paths = List(Unicode(), help="Folders with a form.html").tag(config=True)
    k8s_api_host = Unicode("", help="Address of the API server. Unset: of the pod's account").tag(config=True)
    k8s_api_ssl_ca_cert = Unicode("", help="File with its certificate authority").tag(config=True)
    k8s_api_verify_ssl = Bool(None, allow_none=True, help="Whether its certificate is verified").tag(config=True)
    # KubeSpawner has them too, and they never make sense here.
    enable_user_namespaces = Bool(False).tag(config=True)
    ip = Unicode("0.0.0.0", help="Address at which the server listens in its pod").tag(config=True)
    start_timeout = Integer(300, help="Seconds that a start may take").tag(config=True)

    _shared: dict[tuple, Shared] = {}
    _warned: set[str] = set()

    @classmethod
    def section_names(cls):
        # c.WorkspaceSpawner counts more than c.KubeSpawner, that more than c.Spawner.
        found = super().section_names()
        if "WorkspaceSpawner" in found:
            found.insert(found.index("WorkspaceSpawner"), "KubeSpawner")
        return found

    def _find_my_config(self, cfg):
        found = super()._find_my_config(cfg)
        # There pvc_name_template names claims that the hub makes, also where zero-to-jupyterhub sets it.
        known = self.traits(config=True).keys() - {"pvc_name_template"}
        # Names in capitals are sections of other classes.
        lost = {name for name in cfg.KubeSpawner.keys() - known - cfg.WorkspaceSpawner.keys() if name[0].islower()}
        self._have_no_effect("c.KubeSpawner", lost)
        return {name: value for name, value in found.items() if name not in lost}

    def _have_no_effect(self, where: str, settings: set[str]) -> None:
        if settings - self._warned:
            self.log.warning("%s: no effect here, write what you need into the template: %s", where, ", ".join(sorted(settings)))
            self._warned.update(settings)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.internal_ssl:
            raise ValueError("internal_ssl must be off: pods get no certificates from the hub. Use encryption of the cluster's network")
        if self.enable_user_namespaces:
            raise ValueError("enable_user_namespaces must be off: a hub has rights in one namespace alone. Run a hub per namespace")
        if not self.template and not self.profile_list:
            raise ValueError("template must name a WorkspaceTemplate, unless profile_list is set: set c.WorkspaceSpawner.template")
        _ = self.cluster  # Begins to watch.

    @default("namespace")
    def _default_namespace(self):
        try:
            return _NAMESPACE.read_text().strip()
        except OSError as error:
            raise ValueError(f"{NOT_IN_A_POD} ({error})") from error

    @default("launch_url")
    def _default_launch_url(self):
        return self.get_env()["JUPYTERHUB_API_URL"]

    @validate("profile_list")
    def _valid_profiles(self, proposal):
        if not callable(proposal.value):
            profiles.entries(proposal.value)
        return proposal.value

    @property
    def shared(self) -> Shared:
        """What all servers of a hub have in common."""
        key = (self.namespace, self.hub_name, self.k8s_api_host)
        if key not in self._shared:
            api = Api(configuration(self.k8s_api_host, self.k8s_api_ssl_ca_cert, self.k8s_api_verify_ssl))
            cluster = Cluster(api, self.namespace, self.hub_name, _dispatch)
            sweeping = ioloop.PeriodicCallback(orphans.Orphans(cluster, _is_known, self.orphans == "Stop").sweep, orphans.EVERY * 1000)
            sweeping.start()
            self._shared[key] = Shared(cluster, Access(api, self.namespace), Verifier(api), sweeping)
        return self._shared[key]

    @property
    def cluster(self) -> Cluster:
        return self.shared.cluster

    @property
    def hub_server(self) -> objects.Server:
        path = self.server.base_url if self.server else url_path_join(self.user.base_url, self.name, "/")
        title = getattr(self, "display_name", None)  # Since JupyterHub 6.
        since = self.user.orm_user.created
        return objects.Server(self.hub_name, self.user.name, self.user.id, since, self.name, title or "", path)

    def expand(self, value):
        """KubeSpawner's fields in all text of a value."""
        if isinstance(value, str):
            return names.expand(value, {**names.fields(self.user.name, self.name), "userid": str(self.user.id), "namespace": self.namespace})
        if isinstance(value, dict):
            return {self.expand(key): self.expand(item) for key, item in value.items()}
        return [self.expand(item) for item in value] if isinstance(value, list) else value

    def get_env(self):
        env = super().get_env()
        # What a function made is as it is.
        env.update((name, self.expand(value)) for name, value in self.environment.items() if isinstance(value, str))
        return env


def failure(status: int, reason: str, message: str) -> web.HTTPError:
    """An error that JupyterHub shows as it is, and that does not count as the hub's own."""
    error = SpawnException(message, reason=reason, status_code=status) if SpawnException else web.HTTPError(status, message)
    error.jupyterhub_message = message
    return error


def uncount(handler) -> None:
    """JupyterHub 5 counts each start that fails, and ends itself after some in a row; JupyterHub 6 only errors of the hub, which this is none."""
    if not SpawnException and handler:
        handler.settings["failure_count"] = handler.settings.get("failure_count", 0) - 1


def _is_known(uid: str) -> bool:
    spawner = launch.servers.get(uid)
    return spawner is not None and bool(spawner.server or spawner.pending)


def _dispatch(uid: str) -> None:
    if spawner := launch.servers.get(uid):
        spawner.on_change()
