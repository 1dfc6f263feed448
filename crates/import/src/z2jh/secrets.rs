//! Names of variables with credentials -> commands that make their Secret (pure).

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Name of the Secret with the files.
pub(super) const FILES: &str = "imported-z2jh-files";
/// Name of the Secret with the credentials of the values.
pub(super) const SECRET: &str = "imported-z2jh";

/// Names of variables.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Those that the Secret needs.
    pub(super) keys: BTreeSet<String>,
    /// Those that the hub must not give any more.
    pub(super) moved: BTreeSet<String>,
    /// Whether templates mount files of the chart.
    pub(super) has_files: bool,
}

impl Secrets {
    /// Commands that copy the files of the chart into each namespace, without showing them.
    pub(super) fn copy_files<'n>(&self, hub: &str, namespaces: impl IntoIterator<Item = &'n str>) -> String {
        if !self.has_files {
            return String::new();
        }
        let mut text = format!(
            "(\n  data=$(kubectl -n {hub} get secret singleuser -o jsonpath='{{.data}}') && test -n \"$data\" \\\n    \
             || {{ echo 'no files in the Secret singleuser: nothing is written' >&2; exit 1; }}\n"
        );
        for namespace in namespaces {
            let _ = writeln!(
                text,
                "  printf '{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"{FILES}\"}}, \"data\": %s}}' \"$data\" \\\n    \
                 | kubectl -n {namespace} apply --server-side -f - || exit 1"
            );
        }
        text.push_str(")\n");
        text
    }

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
