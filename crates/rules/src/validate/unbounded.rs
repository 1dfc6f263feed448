//! Workspace without a template -> violation if the installation requires a template (pure).

use api::Workspace;

use crate::settings::Settings;
use crate::violation::Violation;

/// Returns a violation if a required template is missing. An existing workspace cannot be fixed, because its template is immutable.
pub fn without_template(workspace: &Workspace, settings: &Settings) -> Option<Violation> {
    let rule = "is missing, and this installation admits no workspace without a template (the setting requireTemplate): name one that \
                you may use (kubectl get workspacetemplates). A workspace that exists must be deleted and created anew: first set \
                spec.storage.retain: Retain, or its disk is deleted with it";
    let is_refused = settings.require_template && workspace.spec.template_ref.is_none();
    is_refused.then(|| Violation::new("spec.templateRef", "", rule))
}
