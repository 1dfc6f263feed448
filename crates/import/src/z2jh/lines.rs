//! Templates, homes and namespaces -> the lines for a hub's values (pure).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Source;
use super::make::Made;
use super::profiles::OF_CHOICE;
use super::template::is_of_hub;
use crate::path::Step;

/// Settings that the templates say now, with the value that unsets each.
const UNSET: [(&str, &str); 19] = [
    ("image", "None"),
    ("cpu_guarantee", "None"),
    ("cpu_limit", "None"),
    ("mem_guarantee", "None"),
    ("mem_limit", "None"),
    ("extra_resource_guarantees", "{}"),
    ("extra_resource_limits", "{}"),
    ("node_selector", "{}"),
    ("tolerations", "[]"),
    ("node_affinity_required", "[]"),
    ("node_affinity_preferred", "[]"),
    ("pod_affinity_required", "[]"),
    ("pod_affinity_preferred", "[]"),
    ("pod_anti_affinity_required", "[]"),
    ("pod_anti_affinity_preferred", "[]"),
    ("extra_annotations", "{}"),
    ("storage_capacity", "None"),
    ("storage_class", "None"),
    ("common_labels", "{}"),
];

/// The lines for the chart's values.
pub(super) fn text(
    source: &Source<'_>,
    made: &[Made],
    (hub, servers): (&str, &str),
    homes: Option<&(String, Option<String>)>,
) -> String {
    let code = code(source, made, (hub, servers), homes);
    let mut text = String::from(
        "hub:\n\
         \x20 # Build it as docs/zero-to-jupyterhub.md says: the chart's image with our spawner.\n\
         \x20 image: {name: registry.example.org/hub, tag: \"1\"}\n\
         \x20 extraConfig:\n\
         \x20   workspaces: |\n",
    );
    for line in code.lines() {
        let _ = writeln!(text, "      {line}");
    }
    let _ = write!(
        text,
        "  networkPolicy:\n\
         \x20   ingress:  # Servers fetch their environment from the hub.\n\
         \x20     - from:\n\
         \x20         - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {servers}}}}}\n\
         \x20           podSelector: {{matchExpressions: [{{key: workspaces.jupyter.org/workspace, operator: Exists}}]}}\n\
         \x20       ports: [{{port: 8081}}]\n\
         rbac: {{create: false}}\n\
         # Without the chart's Roles the hook fails, and an upgrade with it.\n\
         prePuller: {{hook: {{enabled: false}}, continuous: {{enabled: false}}}}\n\
         # It fails without its ClusterRole, and workspaces do not use it.\n\
         scheduling: {{userScheduler: {{enabled: false}}}}\n"
    );
    let keys = source.chart.root.0.iter().rev();
    keys.fold(text, |text, step| {
        let Step::Key(key) = step else { return text };
        let is_plain = key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let key = if is_plain { key.to_string() } else { python(key) };
        text.lines().fold(format!("{key}:\n"), |mut nested, line| {
            let _ = writeln!(nested, "  {line}");
            nested
        })
    })
}

/// What the hub runs after the chart's own configuration.
fn code(
    source: &Source<'_>,
    made: &[Made],
    (hub, servers): (&str, &str),
    homes: Option<&(String, Option<String>)>,
) -> String {
    let mut code = format!(
        "c.JupyterHub.spawner_class = \"workspace\"\n\
         c.JupyterHub.hub_connect_url = \"http://hub.{hub}.svc:8081\"\n\
         c.WorkspaceSpawner.namespace = \"{servers}\"\n"
    );
    if let Some(default) = made.iter().find(|made| made.is_default) {
        let name = default.template.name();
        let _ = writeln!(code, "c.WorkspaceSpawner.template = \"{name}\"");
    }
    code.push_str("# The templates say this now.\n");
    for (name, unset) in UNSET {
        let _ = writeln!(code, "c.WorkspaceSpawner.{name} = {unset}");
    }
    if let Some((name, folder)) = homes {
        code.push_str("# The homes that are there.\n");
        let _ = writeln!(code, "c.WorkspaceSpawner.pvc_name_template = {}", python(name));
        if let Some(folder) = folder {
            let _ = writeln!(code, "c.WorkspaceSpawner.storage_sub_path = {}", python(folder));
        }
    }
    let variables: Vec<_> = source.secrets.moved.iter().map(|name| python(name)).collect();
    if !variables.is_empty() {
        let _ = writeln!(
            code,
            "for name in [{0}]:\n    c.KubeSpawner.environment.pop(name, None)",
            variables.join(", ")
        );
    }
    let titles: Vec<_> = made.iter().filter(|made| made.title.is_some()).collect();
    if titles.is_empty() {
        return code;
    }
    code.push_str("# Each profile has its template, which says what these overrides said.\nTEMPLATES = {\n");
    for made in &titles {
        let title = python(made.title.as_deref().unwrap_or_default());
        let _ = writeln!(code, "    {title}: \"{}\",", made.template.name());
    }
    let is_moved = |name: &&String| !is_of_hub(name);
    let list = |names: &mut dyn Iterator<Item = &String>| {
        let names: BTreeSet<_> = names.filter(is_moved).collect();
        let names: Vec<_> = names.into_iter().map(|name| python(name)).collect();
        names.join(", ")
    };
    let moved = list(&mut titles.iter().flat_map(|made| &made.overridden));
    let of_choices = list(&mut titles.iter().flat_map(|made| &made.lost_choices));
    code.push_str("}\n");
    let has_options = titles.iter().any(|made| !made.options.is_empty());
    if has_options {
        options(&titles, &mut code);
    }
    let _ = write!(
        code,
        "def forget(of, names):\n\
         \x20   for field in (\"kubespawner_override\", \"spawner_override\"):\n\
         \x20       overrides = of.get(field) or {{}}\n\
         \x20       for name in names:\n\
         \x20           overrides.pop(name, None)\n\
         \x20       for name in [{}]:\n\
         \x20           (overrides.get(\"environment\") or {{}}).pop(name, None)\n\
         profiles = c.KubeSpawner.profile_list\n\
         for profile in profiles.values() if isinstance(profiles, dict) else profiles:\n\
         \x20   template = TEMPLATES.get(profile.get(\"display_name\"))\n\
         \x20   if not template:\n\
         \x20       continue  # Made after the import: the default template bounds it.\n\
         \x20   profile[\"template\"] = template\n\
         \x20   forget(profile, [{moved}])\n\
         \x20   # What the import calls lost, and what the template says.\n\
         \x20   for option in (profile.get(\"profile_options\") or {{}}).values():\n\
         \x20       for choice in (option.get(\"choices\") or {{}}).values():\n\
         \x20           forget(choice, [{of_choices}])\n\
         \x20       forget(option.get(\"unlisted_choice\") or {{}}, [{of_choices}])\n",
        variables.join(", ")
    );
    if has_options {
        let of_choice = OF_CHOICE.map(python).join(", ");
        let _ = write!(
            code,
            "\x20   for name, (ours, names) in OPTIONS.get(profile[\"display_name\"], {{}}).items():\n\
             \x20       for key, choice in ((profile.get(\"profile_options\") or {{}}).get(name, {{}}).get(\"choices\") or {{}}).items():\n\
             \x20           forget(choice, [{of_choice}])\n\
             \x20           if key in names:\n\
             \x20               choice[\"spawner_override\"] = {{**(choice.get(\"spawner_override\") or {{}}), \"template_options\": {{ours: names[key]}}}}\n",
        );
    }
    code
}

/// Which choices of the hub's form are which of the templates' options.
fn options(titles: &[&Made], code: &mut String) {
    code.push_str("# Choices that the template has as an option, with its names.\nOPTIONS = {\n");
    for made in titles.iter().filter(|made| !made.options.is_empty()) {
        let title = python(made.title.as_deref().unwrap_or_default());
        let _ = writeln!(code, "    {title}: {{");
        for option in &made.options {
            let choices = option
                .choices
                .iter()
                .map(|(key, name)| format!("{}: \"{name}\"", python(key)));
            let choices: Vec<_> = choices.collect();
            let (key, name) = (python(&option.key), &option.name);
            let _ = writeln!(code, "        {key}: (\"{name}\", {{{}}}),", choices.join(", "));
        }
        code.push_str("    },\n");
    }
    code.push_str("}\n");
}

/// A text in Python, in ASCII.
fn python(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '..='~' => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
