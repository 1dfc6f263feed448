//! Text of a workspace's manifest -> the object to send, or each broken rule with its line (pure).

use rules::Violation;
use rules::manifest::{self, Document, Finding};
use serde_json::Value;

use crate::failure::Failure;

/// Annotation of what only Helm runs.
const HELM_HOOK: &str = "helm.sh/hook";

/// A file that holds one workspace.
pub(crate) struct Manifest {
    file: String,
    document: Document,
}

impl Manifest {
    /// Reads the one workspace of a text.
    pub(crate) fn read(file: &str, text: &str) -> Result<Self, Failure> {
        let read = manifest::workspace(text);
        let document = read.map_err(|findings| refusal(file, &findings))?.document;
        let found = Self {
            file: file.to_owned(),
            document,
        };
        let object = found.object();
        match hook(&object) {
            None => Ok(found),
            Some(violation) => Err(refusal(file, &[found.document.finding(&violation)])),
        }
    }

    /// The object as it is written, without a status.
    pub(crate) fn object(&self) -> Value {
        let mut object = self.document.value.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        object
    }

    /// Like kubectl, refuses a namespace of the command line that is not the manifest's.
    pub(crate) fn check_namespace(&self, namespace: Option<&str>) -> Result<(), Failure> {
        let (Some(asked), Some(written)) = (namespace, self.document.value["metadata"]["namespace"].as_str())
        else {
            return Ok(());
        };
        if asked == written {
            return Ok(());
        }
        let rule = format!(
            "is not the namespace {asked:?} of the command line: write one of them, or leave one out"
        );
        let violation = Violation::new("metadata.namespace", written, rule);
        Err(refusal(&self.file, &[self.document.finding(&violation)]))
    }

    /// A refusal of the API server, with the line of each broken rule.
    pub(crate) fn place_refusal(&self, failure: Failure) -> Failure {
        let Failure::Refused(status) = &failure else {
            return failure;
        };
        let causes: Vec<_> = status.details.iter().flat_map(|it| &it.causes).collect();
        if causes.is_empty() {
            return failure;
        }
        let findings = causes.iter().map(|cause| {
            let violation = Violation::new(&cause.field, "", &cause.message);
            self.document.finding(&violation)
        });
        Failure::Manifest {
            lines: findings.map(|finding| line(&self.file, &finding)).collect(),
            by_server: true,
        }
    }
}

/// What is wrong with a manifest that belongs to Helm.
fn hook(object: &Value) -> Option<Violation> {
    let hook = object["metadata"]["annotations"][HELM_HOOK].as_str()?;
    let rule =
        "makes it a hook, which only Helm creates: leave the annotation out, or install the chart with helm";
    Some(Violation::new(
        format!("metadata.annotations[{HELM_HOOK}]"),
        hook,
        rule,
    ))
}

fn refusal(file: &str, findings: &[Finding]) -> Failure {
    Failure::Manifest {
        lines: findings.iter().map(|finding| line(file, finding)).collect(),
        by_server: false,
    }
}

fn line(file: &str, finding: &Finding) -> String {
    let place = finding.place;
    let text = finding.violation().detail();
    match finding.field.as_str() {
        "" => format!("* {file}:{}:{}: {text}", place.line, place.column),
        field => format!("* {file}:{}:{}: {field}: {text}", place.line, place.column),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    const HEAD: &str =
        "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata:\n  name: demo\n";

    fn read(rest: &str) -> Result<Manifest, Failure> {
        Manifest::read("a.yaml", &format!("{HEAD}{rest}"))
    }

    #[test]
    fn the_object_is_sent_as_it_is_written() {
        let manifest = read("spec: {displayName: d, templateRef: t}\nstatus: {phase: Running}\n").unwrap();
        assert_eq!(
            manifest.object(),
            json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "metadata": {"name": "demo"},
                "spec": {"displayName": "d", "templateRef": "t"},
            })
        );
    }

    #[test]
    fn each_broken_rule_has_its_line() {
        let failure = read("spec:\n  displayName: d\n  colour: red\n  size: 80\n")
            .err()
            .unwrap();
        assert_eq!(
            failure.to_string(),
            "the workspace is refused:\n\
             * a.yaml:7:3: spec.colour: is an unknown field: see `kubectl explain workspace.spec`\n\
             * a.yaml:8:3: spec.size: is an unknown field: see `kubectl explain workspace.spec`"
        );
        assert_eq!(failure.code(), crate::exit_code::USAGE);
        let failure = read("  annotations:\n    helm.sh/hook: test\nspec: {displayName: d}\n");
        let text = failure.err().unwrap().to_string();
        assert!(
            text.contains("* a.yaml:6:19: metadata.annotations[helm.sh/hook]: \"test\" makes it a hook"),
            "{text}"
        );
    }

    #[test]
    fn the_servers_refusal_has_the_lines_of_its_fields() {
        let manifest = read("spec:\n  displayName: d\n  image: x\n").unwrap();
        let status: Status = serde_json::from_value(json!({
            "code": 422, "details": {"causes": [{"field": "spec.image", "message": "\"x\" is not allowed"}]},
        }))
        .unwrap();
        let failure = manifest.place_refusal(Failure::Refused(Box::new(status)));
        assert_eq!(failure.code(), crate::exit_code::FAILED);
        assert!(
            failure
                .to_string()
                .ends_with("* a.yaml:7:10: spec.image: \"x\" is not allowed"),
            "{failure}"
        );
    }

    #[test]
    fn a_namespace_that_the_command_line_contradicts_is_refused() {
        let manifest = read("  namespace: team\nspec: {displayName: d}\n").unwrap();
        assert!(manifest.check_namespace(None).is_ok());
        assert!(manifest.check_namespace(Some("team")).is_ok());
        let failure = manifest.check_namespace(Some("other")).unwrap_err().to_string();
        assert!(
            failure.contains("a.yaml:5:14: metadata.namespace: \"team\" is not the namespace \"other\""),
            "{failure}"
        );
    }
}
