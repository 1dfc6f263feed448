//! Objects of the cluster -> those that a workspace's validation needs (pure).

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};

/// The objects that the validation of a workspace needs, besides the workspace and the settings.
#[derive(Debug, Clone, Default)]
pub struct References<'a> {
    /// The template that `spec.templateRef` names; `None` if it does not exist or none is named.
    pub template: Option<&'a WorkspaceTemplate>,
    /// The execution profile that [`profile_name`](crate::profile_name) names; `None` if it does not exist or none is named.
    pub profile: Option<&'a WorkspaceExecutionProfile>,
    /// All managers.
    pub managers: Vec<&'a WorkspaceManager>,
}

impl<'a> References<'a> {
    /// References without template and profile.
    pub fn managed_by(managers: impl IntoIterator<Item = &'a WorkspaceManager>) -> Self {
        Self {
            managers: managers.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets the template.
    #[must_use]
    pub fn with_template(self, template: Option<&'a WorkspaceTemplate>) -> Self {
        Self { template, ..self }
    }

    /// Sets the profile.
    #[must_use]
    pub fn with_profile(self, profile: Option<&'a WorkspaceExecutionProfile>) -> Self {
        Self { profile, ..self }
    }
}
