//! What checks find -> violations with their paths (pure).

use api::template::PodSecurity;

use crate::violation::Violation;

/// Where checks of the Pod Security Standards put what they find.
pub(super) struct Faults {
    pub(super) level: PodSecurity,
    /// What the paths of the fields of the object begin with that is looked at.
    prefix: String,
    found: Vec<Violation>,
}

impl Faults {
    pub(super) fn new(level: PodSecurity) -> Self {
        Self {
            level,
            prefix: String::new(),
            found: Vec::new(),
        }
    }

    /// Says at which object the next check looks.
    pub(super) fn begin(&mut self, prefix: impl Into<String>) {
        self.prefix = prefix.into();
    }

    /// Adds a value that the level does not allow.
    pub(super) fn forbid(&mut self, field: &str, value: &str, remedy: &str) {
        let rule = format!("is not allowed by Pod Security {}: {remedy}", name(self.level));
        self.add(field, value, rule);
    }

    /// Adds a field that the level requires.
    pub(super) fn require(&mut self, field: &str, remedy: &str) {
        let rule = format!(
            "is missing, and Pod Security {} requires it: {remedy}",
            name(self.level)
        );
        self.add(field, "", rule);
    }

    /// What was found, in order.
    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.found
    }

    fn add(&mut self, field: &str, value: &str, rule: String) {
        let field = format!("{}{field}", self.prefix);
        self.found.push(Violation::new(field, value, rule));
    }
}

/// The level as Kubernetes writes it.
fn name(level: PodSecurity) -> &'static str {
    match level {
        PodSecurity::Restricted => "restricted",
        PodSecurity::Baseline => "baseline",
    }
}
