//! identity providers -> a warning for each whose groups have no prefix (pure but for the log).
//!
//! The portal acts as the groups of its users. So whoever names groups at the provider can give users the groups of the cluster.

use crate::oidc::{Mapping, Providers};

/// What is wrong, and what to do.
const PROBLEM: &str = "its groups have no prefix, and the portal acts as them: a provider's group with the name of a group of the \
                                  cluster has its permissions. Set groupsPrefix, such as \"oidc:\"";

/// Whether a group of the provider can have the name of any group of the cluster.
fn has_bare_groups(mapping: &Mapping) -> bool {
    mapping.groups_prefix() == Some("")
}

/// Warns where the portal acts in any namespace.
pub(crate) fn warn(portal_acts_in: &[String], providers: &Providers) {
    for provider in providers.iter().filter(|_| !portal_acts_in.is_empty()) {
        if has_bare_groups(&provider.mapping) {
            tracing::warn!(issuer = provider.issuer, "{PROBLEM}");
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::log::Log;

    use super::*;
    use crate::oidc::{CALLBACK, Registered};

    #[test]
    fn groups_without_a_prefix_give_a_warning_where_the_portal_acts() {
        let everywhere = vec!["*".to_owned()];
        for (claim, prefix, acts_in, is_told) in [
            (Some("groups"), "", &everywhere, true),
            (Some("groups"), "", &Vec::new(), false),
            (Some("groups"), "oidc:", &everywhere, false),
            (None, "", &everywhere, false),
        ] {
            let mapping = Mapping::new("https://id.example", "sub", None, claim, prefix);
            let registered = Registered::new("main", "Main", "https://id.example", mapping, CALLBACK);
            let providers = Providers::new(vec![registered]);
            let log = Log::default();
            let lines = tracing_subscriber::fmt()
                .with_writer(log.clone())
                .with_ansi(false)
                .finish();
            tracing::subscriber::with_default(lines, || warn(acts_in, &providers));
            let text = log.take();
            assert_eq!(text.contains("WARN"), is_told, "{claim:?} {prefix:?}: {text}");
            assert_eq!(text.contains("issuer=\"https://id.example\""), is_told, "{text}");
        }
    }
}
