"""What a person chose -> the template and traits of a start, or a refusal; and the form to choose in (IO)."""

import jinja2
from jupyterhub.utils import maybe_future
from tornado import web
from traitlets import TraitError, default

from . import profiles
from .cluster import Refused, Unreachable
from .configured import Configured, failure


class Options(Configured):
    """Profiles of a person, judged the same for form, REST and named servers."""

    # Settings that a choice has overridden, as they were.
    _before: dict = {}
    # What the first lines of a start's progress tell.
    _notes: list = []

    @default("options_form")
    def _default_options_form(self):
        return self._render_form if self.profile_list else ""

    @default("options_from_form")
    def _default_options_from_form(self):
        return profiles.parse_form if self.profile_list else dict

    @default("apply_user_options")
    def _default_apply_user_options(self):
        # JupyterHub 6 warns of options that nobody applies; `start` does.
        return lambda spawner, options: None

    async def _list_offered(self) -> list[dict]:
        """The profiles that this person may have; a function makes them for this person."""
        listed = self.profile_list
        found = profiles.entries(await maybe_future(listed(self) if callable(listed) else listed) or [])
        groups = {group.name for group in self.user.groups}
        found = [entry for entry in found if profiles.is_for(entry, self.user.name, groups)]
        found = [entry for entry in found if await self._may_use(entry.get("template") or self.template)]
        if found:
            # Forms made for KubeSpawner look for it.
            profiles.find({}, found)["default"] = True
        return found

    async def _may_use(self, template: str) -> bool:
        if not self.review_access:
            return True
        groups = [self.access_group_prefix + group.name for group in self.user.groups]
        try:
            return await self.shared.access.may_use(self.access_user_prefix + self.user.name, groups, template)
        except (Refused, Unreachable) as error:
            remedy = f"{error}; try again"
            if error.status == 403:
                self.log.error("review_access: give the hub's Role create on localsubjectaccessreviews of authorization.k8s.io: %s", error)
                remedy = "ask an administrator of the hub"
            raise failure(503, "AccessUnknown", f"whether you may use template {template} is not known: {remedy}") from error

    async def _render_form(self, spawner):
        offered = await self._list_offered()
        if not offered:
            raise web.HTTPError(403, profiles.NOTHING)
        options = self._keep_offered(offered)
        # JupyterHub renders the form once more: what a user typed must not be code there.
        options = {name: value for name, value in options.items() if value and "{" not in name + value}
        loader = jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(self.additional_profile_form_template_paths), jinja2.PackageLoader("workspacespawner", "")]
        )
        env = jinja2.Environment(loader=loader)
        env.policies["json.dumps_kwargs"] = {"sort_keys": False}
        form = env.from_string(self.profile_form_template) if self.profile_form_template else env.get_template("form.html")
        return form.render(profile_list=offered, user_options=options)

    def _keep_offered(self, offered: list[dict]) -> dict:
        """What was chosen earlier, if it is still offered."""
        try:
            options = profiles.check(self.user_options or {})
            profiles.choose(options, profiles.find(options, offered))
        except profiles.Bad:
            return {}
        return options

    def _is_sent(self) -> bool:
        """Whether this start came with options. Without them, JupyterHub gives those of the last start."""
        request = self.handler and self.handler.request
        return not request or bool(request.body or request.query_arguments.keys() - {"next"})

    async def _choose(self) -> str:
        """Applies what was chosen to the traits, and returns the template."""
        if not self.profile_list:
            if not await self._may_use(self.template):
                raise profiles.Bad(f"template must be one that you may use, {self.template} is not: ask an administrator", 403)
            return self.template
        offered = await self._list_offered()
        if not self._is_sent() and self.user_options and not self._keep_offered(offered):
            self._notes.append("What you chose for the last start is no longer offered: this start has the default choice.")
            self.user_options = {}
        options = profiles.check(self.user_options)
        chosen = profiles.find(options, offered)
        for change in profiles.choose(options, chosen):
            self._override(change)
        if not self.template:
            raise ValueError(f"profile_list: {chosen['slug']!r} must have a template, or c.WorkspaceSpawner.template must be set")
        # An override may name another template than the one for which the profile was offered.
        if not await self._may_use(self.template):
            raise profiles.missing(chosen["slug"])
        return self.template

    def _restore_settings(self) -> None:
        """Takes back what a choice changed: where a route could not be added, JupyterHub starts the same spawner again."""
        for name, value in self._before.items():
            setattr(self, name, value)
        self._before = {}

    def _override(self, change: dict) -> None:
        for name, value in change.items():
            if name not in self.traits(config=True):
                self._have_no_effect("overrides of a profile", {name})
                continue
            self._before = {name: getattr(self, name), **self._before}
            try:
                setattr(self, name, profiles.merge(getattr(self, name), value(self) if callable(value) else value))
            except (TraitError, TypeError, ValueError) as error:
                # It may be what a person typed, which must not count as a failure of the hub.
                raise profiles.Bad(f"profile or option does not fit the setting {name}: {error}") from error
