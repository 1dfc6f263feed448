//! Plural of a resource -> our kind with that plural (pure).

use kube::Resource;

/// A kind that admission validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Workspace`
    Workspace,
    /// `WorkspaceTemplate`
    Template,
    /// `WorkspaceManager`
    Manager,
    /// `WorkspaceExecutionProfile`
    Profile,
    /// `WorkspaceShare`
    Share,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Workspace,
        Self::Template,
        Self::Manager,
        Self::Profile,
        Self::Share,
    ];

    /// The kind whose plural is `resource`.
    pub(crate) fn from_plural(resource: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == resource)
    }

    /// Name of the kind, as manifests spell it.
    pub(crate) fn name(self) -> String {
        self.names().0
    }

    /// Plural of the kind, as roles and paths spell it.
    pub(crate) fn plural(self) -> String {
        self.names().1
    }

    fn names(self) -> (String, String) {
        fn names_of<K: Resource<DynamicType = ()>>() -> (String, String) {
            (K::kind(&()).into_owned(), K::plural(&()).into_owned())
        }
        match self {
            Self::Workspace => names_of::<api::Workspace>(),
            Self::Template => names_of::<api::WorkspaceTemplate>(),
            Self::Manager => names_of::<api::WorkspaceManager>(),
            Self::Profile => names_of::<api::WorkspaceExecutionProfile>(),
            Self::Share => names_of::<api::WorkspaceShare>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_plural_alone() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_plural(&kind.plural()), Some(kind));
        }
        for other in ["workspace", "Workspaces", "pods", ""] {
            assert_eq!(Kind::from_plural(other), None, "{other}");
        }
    }
}
