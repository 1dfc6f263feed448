//! Names of variables with credentials -> commands that make their Secret (pure).

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Name of the Secret with the credentials of the values.
pub(super) const SECRET: &str = "imported-z2jh";

/// Names of variables.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Those that the Secret needs.
    pub(super) keys: BTreeSet<String>,
    /// Those that the hub must not give any more.
    pub(super) moved: BTreeSet<String>,
}

impl Secrets {
    /// Commands that ask for the values, and make the Secret in each namespace.
    pub(super) fn commands<'n>(&self, namespaces: impl IntoIterator<Item = &'n str>) -> String {
        let mut text = String::new();
        if self.keys.is_empty() {
            return text;
        }
        // One command: what is pasted after a line is not its answer.
        text.push_str("(\n");
        for (index, key) in self.keys.iter().enumerate() {
            let _ = writeln!(
                text,
                "  read -rs -p '{key}: ' value_{index} && test -n \"$value_{index}\" || {{ echo 'no value: nothing is written' >&2; exit 1; }}"
            );
        }
        for namespace in namespaces {
            let _ = write!(
                text,
                "  kubectl -n {namespace} create secret generic {SECRET} --dry-run=client -o yaml"
            );
            for (index, key) in self.keys.iter().enumerate() {
                let _ = write!(text, " \\\n    --from-file={key}=<(printf %s \"$value_{index}\")");
            }
            text.push_str(" \\\n    | kubectl apply --server-side -f -\n");
        }
        text.push_str(")\n");
        text
    }
}
