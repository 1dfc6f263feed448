//! Changes that portal and plugin make -> commands; reason and message -> changes (pure).

use api::Workspace;
use api::condition::reason::{Fix, Reason};
use serde::Serialize;

/// A change that portal and plugin can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Change {
    /// Start the workspace, not in recovery.
    Start,
    /// Start it in recovery.
    Recover,
    /// Stop it.
    Stop,
    /// Restart it.
    Restart,
    /// Delete it.
    Delete,
    /// Change one of its fields.
    Edit {
        /// Path of the field, such as `spec.env[2].valueFrom.secretKeyRef.name`.
        field: String,
    },
    /// Create another workspace with its values, under another name, from another template or image.
    Copy,
    /// Create a workspace from this template.
    Create {
        /// Name of the template.
        template: String,
    },
    /// Stop another workspace of the user in the namespace.
    StopOther,
    /// Read the output.
    Logs {
        /// That of the previous run of the container.
        previous: bool,
    },
    /// Share the workspace with a user.
    Share {
        /// Name of the user.
        user: String,
        /// How long, in minutes.
        minutes: i64,
    },
    /// Move the end of a share.
    Prolong {
        /// Name of the share.
        share: String,
    },
}

impl Change {
    /// The command that makes the change.
    pub fn command(&self, name: &str, namespace: &str) -> String {
        let verb = |verb: &str| format!("kubectl workspace {verb} {name} -n {namespace}");
        match self {
            Self::Start => verb("start"),
            Self::Recover => format!("{} --recovery", verb("start")),
            Self::Stop => verb("stop"),
            Self::Restart => verb("restart"),
            Self::Delete => verb("delete"),
            Self::Edit { field } => match flag(field) {
                Some(flag) => format!("{} {flag}", verb("set")),
                None => format!("kubectl edit workspace {name} -n {namespace}"),
            },
            Self::Copy => {
                format!("kubectl workspace create NEW-NAME -n {namespace} --template TEMPLATE")
            }
            Self::Create { template } => {
                let template = quote(template);
                format!("kubectl workspace create NEW-NAME -n {namespace} --template {template}")
            }
            Self::StopOther => format!("kubectl workspace stop OTHER-NAME -n {namespace}"),
            Self::Logs { previous: true } => format!("{} --previous", verb("logs")),
            Self::Logs { previous: false } => verb("logs"),
            Self::Share { user, minutes } => {
                let time = match (minutes / 60, minutes % 60) {
                    (hours, 0) => format!("{hours}h"),
                    _ => format!("{minutes}m"),
                };
                format!("{} --user {} --for {time}", verb("share"), quote(user))
            }
            Self::Prolong { share } => format!("kubectl edit workspaceshare {share} -n {namespace}"),
        }
    }
}

/// The flag of `kubectl workspace set` for a field, with a placeholder for its value.
fn flag(field: &str) -> Option<&'static str> {
    let amount = field
        .strip_prefix("spec.resources.limits.")
        .or_else(|| field.strip_prefix("spec.resources.requests."));
    Some(match (field, amount) {
        (_, Some("cpu")) => "--cpu QUANTITY",
        (_, Some("memory")) => "--memory QUANTITY",
        ("spec.image", _) => "--image IMAGE",
        ("spec.storage.size", _) => "--storage QUANTITY",
        ("spec.displayName", _) => "--display-name TEXT",
        ("spec.idleShutdown.enabled" | "spec.idleShutdown.idleTimeoutInMinutes", _) => "--idle DURATION",
        ("spec.idleShutdown.openTabMinutes", _) => "--open-tab DURATION",
        ("spec.limits.maxAgeMinutes", _) => "--max-age DURATION",
        ("spec.limits.failedTimeoutMinutes", _) => "--failed-timeout DURATION",
        ("spec.limits.startTimeoutMinutes", _) => "--start-timeout DURATION",
        ("spec.limits.stoppedRetentionDays", _) => "--stopped-retention DAYS",
        _ => return None,
    })
}

/// Quotes an argument for a shell.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A change of a field.
pub(super) fn edit(field: &str) -> Change {
    Change::Edit {
        field: field.to_owned(),
    }
}

/// The changes of the workspace that a reason's remedy names.
pub(super) fn of_reason(workspace: &Workspace, reason: &Reason, message: &str) -> Vec<Change> {
    let fixes = reason.fixes.iter();
    fixes
        .flat_map(|fix| match fix {
            // How a workspace in recovery is started is said with that.
            Fix::Start if workspace.is_in_recovery() => Vec::new(),
            Fix::Start => vec![Change::Start],
            // A workspace in recovery fails for another reason.
            Fix::Recover if workspace.concerns_recovery() => Vec::new(),
            Fix::Recover => vec![Change::Recover],
            Fix::Stop => vec![Change::Stop],
            Fix::Restart => vec![Change::Restart],
            Fix::Copy => vec![Change::Copy],
            Fix::StopOther => vec![Change::StopOther],
            Fix::Logs => vec![Change::Logs { previous: false }],
            Fix::PreviousLogs => vec![Change::Logs { previous: true }],
            Fix::Field(field) => vec![edit(field)],
            Fix::FieldsOfMessage => fields_in(message),
            Fix::ReferencesOfMessage => references_in(workspace, message),
            Fix::AmountsOfMessage => amounts_in(message),
        })
        .collect()
}

/// Fields of a workspace that a message names, in its order.
fn fields_in(message: &str) -> Vec<Change> {
    let words = message.split(|c: char| c.is_whitespace() || ",;:()\"".contains(c));
    let mut found = Vec::new();
    for word in words.map(|word| word.trim_end_matches('.')) {
        let is_new = |found: &[Change]| !found.contains(&edit(word));
        if word.starts_with("spec.") && is_new(&found) {
            found.push(edit(word));
        }
    }
    found
}

/// References of environment variables to a Secret or ConfigMap that a message names in quotes.
fn references_in(workspace: &Workspace, message: &str) -> Vec<Change> {
    let is_named = |name: &str| message.contains(&format!("{name:?}"));
    let entries = workspace.spec.env.iter().enumerate();
    let fields = entries.filter_map(|(index, variable)| {
        let source = variable.value_from.as_ref()?;
        let secret = source.secret_key_ref.as_ref();
        let map = source.config_map_key_ref.as_ref();
        let at = format!("spec.env[{index}].valueFrom");
        if secret.is_some_and(|it| is_named(&it.name)) {
            Some(format!("{at}.secretKeyRef.name"))
        } else if map.is_some_and(|it| is_named(&it.name)) {
            Some(format!("{at}.configMapKeyRef.name"))
        } else {
            None
        }
    });
    fields.map(|field| edit(&field)).collect()
}

/// Amounts of resources that scheduler or quota refuse: `Insufficient memory`, or `requested: limits.memory=4Gi`.
fn amounts_in(message: &str) -> Vec<Change> {
    let requested = message.split_once("requested: ").map_or("", |(_, rest)| rest);
    let requested = requested.split(" used: ").next().unwrap_or_default();
    let of_quota = requested
        .split([',', ' '])
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name);
    let of_scheduler = message
        .split("Insufficient ")
        .skip(1)
        .filter_map(|rest| rest.split([',', ' ', ';']).next());
    let mut found = Vec::new();
    for name in of_quota.chain(of_scheduler) {
        let name = name.trim_end_matches('.');
        let name = name.strip_prefix("limits.").unwrap_or(name);
        let name = name.strip_prefix("requests.").unwrap_or(name);
        let field = match name {
            "cpu" | "memory" => format!("spec.resources.limits.{name}"),
            _ if name == "storage" || name.ends_with("/requests.storage") => "spec.storage.size".to_owned(),
            _ if name.contains('/') && !name.starts_with("count/") => {
                format!("spec.resources.limits[{name}]")
            }
            _ => continue,
        };
        if !found.contains(&edit(&field)) {
            found.push(edit(&field));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use api::condition::reason;
    use serde_json::{Value, json};

    use super::super::{Remedy, Step};
    use super::*;

    fn workspace(spec: Value) -> Workspace {
        let mut object = json!({"metadata": {"name": "demo", "namespace": "team"}, "spec": spec});
        object["spec"]["displayName"] = json!("d");
        serde_json::from_value(object).unwrap()
    }

    fn steps(spec: Value, name: &str, message: &str) -> Vec<Step> {
        Remedy::of_reason(&workspace(spec), name, message).unwrap().steps
    }

    fn fields(spec: Value, name: &str, message: &str) -> Vec<String> {
        let steps = steps(spec, name, message).into_iter();
        steps
            .filter_map(|step| match step.action {
                Change::Edit { field } => Some(field),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn each_action_names_a_command_that_does_the_same() {
        let field = |field: &str| edit(field).command("demo", "team");
        for (action, words) in [
            (Change::Start, "kubectl workspace start demo -n team"),
            (Change::Recover, "kubectl workspace start demo -n team --recovery"),
            (Change::Stop, "kubectl workspace stop demo -n team"),
            (Change::Restart, "kubectl workspace restart demo -n team"),
            (Change::Delete, "kubectl workspace delete demo -n team"),
            (
                Change::Copy,
                "kubectl workspace create NEW-NAME -n team --template TEMPLATE",
            ),
            (Change::StopOther, "kubectl workspace stop OTHER-NAME -n team"),
            (
                Change::Create {
                    template: "gpu".to_owned(),
                },
                "kubectl workspace create NEW-NAME -n team --template gpu",
            ),
            (
                Change::Create {
                    template: "gpu; reboot".to_owned(),
                },
                "kubectl workspace create NEW-NAME -n team --template 'gpu; reboot'",
            ),
            (
                Change::Logs { previous: true },
                "kubectl workspace logs demo -n team --previous",
            ),
            (
                Change::Share {
                    user: "bob's x".to_owned(),
                    minutes: 480,
                },
                r"kubectl workspace share demo -n team --user 'bob'\''s x' --for 8h",
            ),
            (
                Change::Prolong {
                    share: "s".to_owned(),
                },
                "kubectl edit workspaceshare s -n team",
            ),
        ] {
            assert_eq!(action.command("demo", "team"), words);
        }
        assert_eq!(
            field("spec.image"),
            "kubectl workspace set demo -n team --image IMAGE"
        );
        assert_eq!(
            field("spec.resources.requests.memory"),
            "kubectl workspace set demo -n team --memory QUANTITY"
        );
        assert_eq!(field("spec.env[2].value"), "kubectl edit workspace demo -n team");
    }

    /// A remedy and its changes belong together: the remedy must mention each change.
    #[test]
    fn a_remedy_speaks_of_each_change() {
        let secret =
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]});
        let message = "spec.image: wrong. \"x\" is missing. Insufficient memory";
        let mut with_steps = 0;
        for known in reason::ALL {
            let Some(remedy) = Remedy::of_reason(&workspace(secret.clone()), known.name, message) else {
                continue;
            };
            with_steps += usize::from(!remedy.steps.is_empty());
            let text = remedy.what.to_lowercase();
            for Step { action, command } in remedy.steps {
                assert_eq!(command, action.command("demo", "team"));
                let words: &[&str] = match &action {
                    Change::Start => &["start"],
                    Change::Recover => &["start in recovery"],
                    Change::Stop => &["stop it"],
                    Change::Restart => &["stop and start"],
                    Change::Delete => &["delete the workspace"],
                    Change::Copy => &["create", "copy", "another claim"],
                    Change::StopOther => &["stop another workspace"],
                    Change::Logs { .. } => &["output"],
                    Change::Edit { field } => {
                        let known_by = field.to_lowercase();
                        let parent = known_by.rsplit_once('.').map_or("", |(parent, _)| parent);
                        let named = [
                            known_by.as_str(),
                            parent,
                            "message",
                            "the name",
                            "name and tag",
                            "the image",
                            "request less",
                            "reduce",
                        ];
                        assert!(
                            named.iter().any(|word| text.contains(word)),
                            "{}: {field}",
                            known.name
                        );
                        continue;
                    }
                    Change::Create { .. } | Change::Share { .. } | Change::Prolong { .. } => &[],
                };
                assert!(
                    words.iter().any(|word| text.contains(word)),
                    "{}: {action:?}: {text}",
                    known.name
                );
            }
        }
        assert!(with_steps >= 20, "{with_steps}");
    }

    /// The API server refuses changes of these fields.
    #[test]
    fn no_remedy_is_a_change_of_a_field_that_cannot_change() {
        let message = "spec.image: wrong. exceeded quota: q, requested: requests.storage=1Gi";
        let fixed = ["spec.templateRef", "spec.storage.claimName"];
        let definition = serde_json::to_string(&<Workspace as kube::CustomResourceExt>::crd()).unwrap();
        for field in fixed {
            let name = field.rsplit('.').next().unwrap();
            assert!(definition.contains(&format!("'{name} is immutable, ")), "{field}");
        }
        assert_eq!(definition.matches(" is immutable, ").count(), fixed.len());
        for known in reason::ALL {
            let steps = of_reason(&workspace(json!({})), known, message);
            let refused = steps
                .iter()
                .find(|step| fixed.iter().any(|field| **step == edit(field)));
            assert_eq!(refused, None, "{}", known.name);
        }
    }

    #[test]
    fn a_message_leads_to_the_fields_that_it_names() {
        let message = "spec.resources.limits.cpu: \"5\" is more than 4; spec.env[2].value: is too long. See spec.env[2].value.";
        assert_eq!(
            fields(json!({}), reason::RULES_VIOLATED, message),
            ["spec.resources.limits.cpu", "spec.env[2].value"]
        );
    }
}
