//! The objects that a workspace refers to (pure).

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};

/// What a workspace is judged by, besides itself and the settings.
#[derive(Debug, Clone, Default)]
pub struct References<'a> {
    /// The template that `spec.templateRef` names; `None` when it does not exist or none is named.
    pub template: Option<&'a WorkspaceTemplate>,
    /// The execution profile that [`profile_name`](crate::profile_name) names; `None` when it does not exist or none is named.
    pub profile: Option<&'a WorkspaceExecutionProfile>,
    /// Every manager there is.
    pub managers: Vec<&'a WorkspaceManager>,
}

impl<'a> References<'a> {
    /// Without a template and a profile.
    pub fn managed_by(managers: impl IntoIterator<Item = &'a WorkspaceManager>) -> Self {
        Self {
            managers: managers.into_iter().collect(),
            ..Self::default()
        }
    }

    /// With this template.
    #[must_use]
    pub fn with_template(self, template: Option<&'a WorkspaceTemplate>) -> Self {
        Self { template, ..self }
    }

    /// With this profile.
    #[must_use]
    pub fn with_profile(self, profile: Option<&'a WorkspaceExecutionProfile>) -> Self {
        Self { profile, ..self }
    }
}
