//! Object and the schema of its kind -> the texts in it that the schema refuses by a pattern, in words (pure).
//!
//! The API server says of such a text no more than "should match '^[a-z…'". The rules stay in the schema, which holds where no webhook
//! runs and costs least there; the webhook that comes before the schema tells them in words.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use regex::Regex;
use serde_json::Value;

use crate::violation::Violation;

/// Each pattern of our schemas, and what is said of a text that does not match.
const IN_WORDS: [(&str, &str); 11] = [
    (
        r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        "is no amount: write a number that is not negative, and a unit if need be, such as 500m, 2, 512Mi or 10Gi",
    ),
    (
        r"^[^\x00-\x1f\x7f\x{202a}-\x{202e}\x{2066}-\x{2069}]+$",
        "is no line of plain text: leave out line breaks, other control characters, and marks that change the reading direction",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "is no name of an object: use lower-case letters, digits, '-' and '.', with a letter or digit at both ends and around each '.'",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "is no name: use lower-case letters, digits and '-', with a letter or digit at both ends",
    ),
    (
        r"^/[^:]+$",
        "is no place in a container: write a path that begins with '/' and holds no ':', such as /home/jovyan/data",
    ),
    (
        r"^[^/:][^:]*$",
        "is no folder of a disk: write a path without '/' in front and without ':', such as data/2025",
    ),
    (
        r"^(/[^/:]+){2,}$",
        "is no place for a token: write a path of two folders or more, without ':' and without '/' at the end, such as /var/run/tokens",
    ),
    (
        r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/?]*$",
        "is no path of a URL: begin it with '/', and write what a URL does not hold as %xx",
    ),
    (
        r"^(\$?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        "is no place in a JSON answer: write names joined by dots, such as kernels.last_activity",
    ),
    (
        r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
        "is no domain: write labels of lower-case letters, digits and '-', joined by dots, the last one with a letter in front, such as \
         workspaces.example.org",
    ),
    (
        r"^https?://[^ \t\n\f\r]+$",
        "is no URL: write http://… or https://…, without blanks",
    ),
];

/// Said of a text that its pattern refuses because there is none.
const EMPTY: &str = "is empty: write a value";
/// Most that is told at once: nobody has bounded the object yet.
const MOST: usize = 50;
/// Most characters of a text, or of a name in a map, that are shown.
const SHOWN: usize = 100;

/// The patterns of one kind's spec.
#[derive(Debug, Default)]
pub struct Patterns(Node);

/// A pattern, compiled, and what is said of a text that does not match.
#[derive(Debug)]
struct Told {
    pattern: Regex,
    rule: &'static str,
}

/// What a schema says of a value, as far as there are patterns.
#[derive(Debug, Default)]
struct Node {
    own: Option<&'static Told>,
    fields: BTreeMap<String, Self>,
    /// Of each entry of a list, or each value of a map.
    each: Option<Box<Self>>,
}

impl Patterns {
    /// The patterns of a kind's newest version.
    pub fn of(definition: &CustomResourceDefinition) -> Self {
        let schema = definition
            .spec
            .versions
            .last()
            .and_then(|version| serde_json::to_value(&version.schema).ok());
        let spec = schema
            .as_ref()
            .and_then(|schema| schema.pointer("/openAPIV3Schema/properties/spec"));
        Self(spec.and_then(Node::of).unwrap_or_default())
    }

    /// Texts in `spec` that do not match, the first of them if there are many. Not those that stand in the same field, at whatever
    /// place in its list or map, of what is `stored`.
    pub fn broken(&self, spec: &Value, stored: Option<&Value>) -> Vec<Violation> {
        let mut known: Option<HashSet<(*const Node, &str)>> = None;
        let mut found = Vec::new();
        let _: ControlFlow<()> = self.0.look(&Path::Spec, spec, &mut |broken| {
            let known = known.get_or_insert_with(|| self.all(stored));
            if !known.contains(&(std::ptr::from_ref(broken.node), broken.text)) {
                found.push(broken.told());
            }
            if found.len() < MOST {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        found
    }

    /// Every text that does not match, and the field where it stands.
    fn all<'a>(&self, spec: Option<&'a Value>) -> HashSet<(*const Node, &'a str)> {
        let mut all = HashSet::new();
        if let Some(spec) = spec {
            let _: ControlFlow<()> = self.0.look(&Path::Spec, spec, &mut |broken| {
                all.insert((std::ptr::from_ref(broken.node), broken.text));
                ControlFlow::Continue(())
            });
        }
        all
    }
}

/// A text that does not match.
struct Broken<'a, 'p> {
    /// What the schema says of its field.
    node: &'p Node,
    rule: &'static str,
    at: &'p Path<'p>,
    text: &'a str,
}

impl Broken<'_, '_> {
    fn told(&self) -> Violation {
        let shown: String = self.text.chars().take(SHOWN).collect();
        Violation::new(self.at.to_string(), shown, self.rule)
    }
}

/// Where a value stands. It is written out for what is told alone.
enum Path<'p> {
    Spec,
    Field(&'p Self, &'p str),
    Index(&'p Self, usize),
    /// A field of a map, as the other rules name it.
    Key(&'p Self, &'p str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("spec"),
            Self::Field(above, name) => write!(f, "{above}.{name}"),
            Self::Index(above, index) => write!(f, "{above}[{index}]"),
            Self::Key(above, name) => {
                let end = name.char_indices().nth(SHOWN).map_or(name.len(), |(end, _)| end);
                let shown = &name[..end];
                if shown
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                {
                    write!(f, "{above}.{shown}")
                } else {
                    write!(f, "{above}[{}]", shown.escape_debug())
                }
            }
        }
    }
}

impl Node {
    /// `None` where nothing has a pattern.
    fn of(schema: &Value) -> Option<Self> {
        let own = schema["pattern"].as_str().and_then(in_words);
        let fields: BTreeMap<String, Self> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| Some((name.clone(), Self::of(schema)?)))
            .collect();
        let each = ["items", "additionalProperties"]
            .iter()
            .find_map(|key| Self::of(schema.get(key)?))
            .map(Box::new);
        (own.is_some() || each.is_some() || !fields.is_empty()).then_some(Self { own, fields, each })
    }

    /// Hands over each text that does not match, until told to stop.
    fn look<'a>(
        &self,
        at: &Path<'_>,
        value: &'a Value,
        take: &mut dyn FnMut(Broken<'a, '_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match value {
            Value::String(text) => {
                if let Some(told) = self.own.filter(|told| !told.pattern.is_match(text)) {
                    take(Broken {
                        node: self,
                        rule: if text.is_empty() { EMPTY } else { told.rule },
                        at,
                        text,
                    })?;
                }
            }
            Value::Array(items) => {
                if let Some(each) = &self.each {
                    for (index, item) in items.iter().enumerate() {
                        each.look(&Path::Index(at, index), item, take)?;
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(node) = self.fields.get(name) {
                        node.look(&Path::Field(at, name), value, take)?;
                    } else if let Some(each) = &self.each {
                        each.look(&Path::Key(at, name), value, take)?;
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        ControlFlow::Continue(())
    }
}

/// Each pattern is compiled once, however many fields have it.
fn in_words(pattern: &str) -> Option<&'static Told> {
    static COMPILED: LazyLock<Vec<Told>> = LazyLock::new(|| {
        let told = |(pattern, rule): (&str, &'static str)| {
            let pattern = Regex::new(pattern).ok()?;
            Some(Told { pattern, rule })
        };
        IN_WORDS.into_iter().filter_map(told).collect()
    });
    COMPILED.iter().find(|told| told.pattern.as_str() == pattern)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
    use kube::CustomResourceExt as _;
    use serde_json::json;

    use super::*;

    fn patterns(schema: &Value, into: &mut BTreeSet<String>) {
        match schema {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(pattern) if key == "pattern" => drop(into.insert(pattern.clone())),
                        _ => patterns(value, into),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| patterns(item, into)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_our_schemas_is_said_in_words_and_no_other_is() {
        let mut written = BTreeSet::new();
        for definition in [
            Workspace::crd(),
            WorkspaceTemplate::crd(),
            WorkspaceManager::crd(),
            WorkspaceExecutionProfile::crd(),
            WorkspaceShare::crd(),
        ] {
            let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
            patterns(
                &version["schema"]["openAPIV3Schema"]["properties"]["spec"],
                &mut written,
            );
        }
        let known: BTreeSet<String> = IN_WORDS
            .iter()
            .map(|(pattern, _)| (*pattern).to_owned())
            .collect();
        assert_eq!(written, known);
        assert_eq!(known.len(), IN_WORDS.len());
        for (pattern, rule) in IN_WORDS {
            assert!(in_words(pattern).is_some(), "{pattern}");
            assert!(rule.starts_with("is no ") && rule.contains(": "), "{rule}");
        }
    }

    fn told(definition: &CustomResourceDefinition, spec: &Value) -> Vec<String> {
        let found = Patterns::of(definition).broken(spec, None);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_lists_and_maps_are_looked_through_and_all_is_told_at_once() {
        let spec = json!({
            "displayName": "a\nb",
            "templateRef": "Big_One",
            "resources": {"limits": {"cpu": "two", "memory": 1, "nvidia.com/gpu": "-1"}},
            "storage": {"size": "10 GB", "mountPath": "home"},
            "volumes": [{"name": "a", "mountPath": "/a"}, {"name": "B", "mountPath": "/b:c"}],
        });
        let found = told(&Workspace::crd(), &spec);
        for beginning in [
            r#"spec.displayName: "a\nb" is no line of plain text: "#,
            r#"spec.templateRef: "Big_One" is no name of an object: "#,
            r#"spec.resources.limits.cpu: "two" is no amount: "#,
            r#"spec.resources.limits[nvidia.com/gpu]: "-1" is no amount: "#,
            r#"spec.storage.size: "10 GB" is no amount: "#,
            r#"spec.storage.mountPath: "home" is no place in a container: "#,
            r#"spec.volumes[1].name: "B" is no name: "#,
            r#"spec.volumes[1].mountPath: "/b:c" is no place in a container: "#,
        ] {
            assert!(
                found.iter().any(|line| line.starts_with(beginning)),
                "{beginning}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 8, "{found:#?}");
    }

    #[test]
    fn of_an_empty_text_it_is_said_that_it_is_empty() {
        let spec = json!({"displayName": "", "templateRef": ""});
        let found = told(&Workspace::crd(), &spec);
        assert_eq!(
            found,
            [
                "spec.displayName: is empty: write a value",
                "spec.templateRef: is empty: write a value"
            ]
        );
    }

    #[test]
    fn what_matches_and_what_is_no_text_is_left_to_the_schema() {
        let spec = json!({
            "displayName": "Alice's lab – ü", "templateRef": "a.b-c", "resources": {"limits": {"cpu": 2, "memory": "1.5Gi"}},
            "storage": null, "volumes": "none", "unknown": "\n",
        });
        assert!(told(&Workspace::crd(), &spec).is_empty());
        assert!(told(&Workspace::crd(), &json!("text")).is_empty());
    }

    #[test]
    fn an_object_that_nobody_has_bounded_is_told_of_in_bounds() {
        let many = json!({"volumes": vec![json!({"mountPath": "x".repeat(1000)}); 1000]});
        let found = told(&Workspace::crd(), &many);
        assert_eq!(found.len(), MOST);
        assert!(found.iter().all(|line| line.len() < 400), "{}", found[0]);
        for (name, shown) in [
            ("x".repeat(1000), format!("limits.{}: ", "x".repeat(SHOWN))),
            ("ü".repeat(1000), format!("limits[{}]: ", "ü".repeat(SHOWN))),
        ] {
            let found = told(
                &Workspace::crd(),
                &json!({"resources": {"limits": {name: "two"}}}),
            );
            assert!(found[0].contains(&shown), "{}", found[0]);
        }
    }

    #[test]
    fn what_is_stored_is_not_told_wherever_in_its_list_or_map_it_stands_and_however_much_it_is() {
        let patterns = Patterns::of(&Workspace::crd());
        let volumes = |paths: Vec<String>| {
            let volumes: Vec<_> = paths.iter().map(|path| json!({"mountPath": path})).collect();
            json!({"volumes": volumes})
        };
        let many: Vec<_> = (0..3 * MOST).map(|number| format!("x{number}")).collect();
        let stored = volumes(many.clone());
        let told = |paths: Vec<String>| {
            let found = patterns.broken(&volumes(paths), Some(&stored));
            found.into_iter().map(|one| one.field).collect::<Vec<_>>()
        };
        let (first, last) = (many[0].clone(), many[3 * MOST - 1].clone());
        assert!(told(many.clone()).is_empty());
        assert!(told(many[1..].to_vec()).is_empty(), "one is mended");
        assert!(told([vec!["/new".to_owned()], many.clone()].concat()).is_empty());
        let one_more = told([vec!["new".to_owned(), last], many, vec![first]].concat());
        assert_eq!(one_more, ["spec.volumes[0].mountPath"]);
        let elsewhere = json!({"storage": {"mountPath": "x1"}});
        let found = patterns.broken(&elsewhere, Some(&stored));
        assert_eq!(
            found[0].field, "spec.storage.mountPath",
            "in another field it is new"
        );
    }

    #[test]
    fn blanks_in_a_url_are_those_of_the_api_server_s_own_patterns() {
        let address = |end: &str| {
            let spec = json!({"authentication": {"forwardAuth": {"address": format!("http://a{end}")}}});
            told(&WorkspaceManager::crd(), &spec).is_empty()
        };
        for blank in [" ", "\t", "\n", "\u{c}", "\r"] {
            assert!(!address(blank), "{blank:?}");
        }
        for other in ["", "\u{b}", "\u{85}", "\u{a0}", "\u{2003}"] {
            assert!(address(other), "{other:?}");
        }
    }

    #[test]
    fn managers_are_told_too() {
        let spec = json!({
            "routing": {"baseDomain": "Example"},
            "authentication": {"forwardAuth": {"address": "auth.example.org"}},
        });
        let found = told(&WorkspaceManager::crd(), &spec);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found[1].contains(r#"spec.routing.baseDomain: "Example" is no domain: "#),
            "{found:#?}"
        );
    }
}
