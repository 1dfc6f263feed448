//! workspace domain and issuers -> a warning for each shared domain (pure but for the log).
//!
//! Code in a workspace can set cookies for every domain above its host, up to the registrable one. Browsers send them to every host
//! under that domain. The names of the gateway's own cookies prevent this; those of an identity provider may not.

use openidconnect::url::{Host, Url};

use crate::index::Domain;
use crate::oidc::Providers;

/// Warns about each provider whose cookies a workspace could set.
pub(crate) fn warn(domain: &Domain, providers: &Providers) {
    for provider in providers.iter() {
        let Some(shared) = host(&provider.issuer).and_then(|host| common_parent(domain.base(), &host)) else {
            continue;
        };
        tracing::warn!(
            issuer = provider.issuer,
            shared,
            "code in workspaces can set cookies that the identity provider gets: give workspaces a domain of their own, or have it \
             listed as a public suffix (publicsuffix.org). Nothing is wrong if the shared one is a public suffix already"
        );
    }
}

/// IP addresses have no parent domain.
fn host(issuer: &str) -> Option<String> {
    match Url::parse(issuer).ok()?.host()? {
        Host::Domain(name) => Some(name.to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The longest common parent domain. A single label has no owner, and browsers set no cookie for it.
fn common_parent(base: &str, host: &str) -> Option<String> {
    let pairs = base.rsplit('.').zip(host.rsplit('.'));
    let mut labels: Vec<&str> = pairs
        .take_while(|(ours, theirs)| ours == theirs)
        .map(|(label, _)| label)
        .collect();
    labels.reverse();
    (labels.len() > 1).then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use testkit::log::Log;

    use super::*;
    use crate::oidc::claims::Mapping;
    use crate::oidc::{CALLBACK, Registered};

    #[test]
    fn providers_under_a_domain_of_the_workspaces_give_a_warning() {
        let issuers = [
            ("https://id.example.com:8443/realms/x", Some("example.com")),
            ("https://example.com/", Some("example.com")),
            ("https://id.notexample.com/", None),
            ("https://identity.localhost/", None),
            ("https://192.0.2.1/", None),
            ("https://[2001:db8::1]/", None),
            (
                "https://id.workspaces.example.com/",
                Some("workspaces.example.com"),
            ),
        ];
        for (issuer, expected) in issuers {
            let mapping = Mapping::new(issuer, "sub", None, None, "");
            let providers = Providers::new(vec![Registered::new("main", "Main", issuer, mapping, CALLBACK)]);
            let log = Log::default();
            let lines = tracing_subscriber::fmt()
                .with_writer(log.clone())
                .with_ansi(false)
                .finish();
            tracing::subscriber::with_default(lines, || {
                warn(&Domain::new("workspaces.example.com", 443), &providers);
            });
            let text = log.take();
            let Some(shared) = expected else {
                assert_eq!(text, "", "{issuer}");
                continue;
            };
            assert_eq!(text.matches("WARN").count(), 1, "{text}");
            for part in [format!("issuer=\"{issuer}\""), format!("shared=\"{shared}\"")] {
                assert!(text.contains(&part), "{part}: {text}");
            }
        }
    }
}
