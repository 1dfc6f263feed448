//! verified user -> whether this installation admits them, by e-mail domain and group (pure).

use openidconnect::url::Host;
use serde_json::{Map, Value};

use kit::process::{InvalidSetting, non_empty};

/// Which users of a provider are admitted. If both lists have entries, a user must satisfy both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// In the form of [`domain`]; empty: every address, and users without address.
    domains: Vec<String>,
    /// Kubernetes names, with prefix; empty: every user.
    groups: Vec<String>,
}

/// Why a user is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// The user has no address that the provider reports as verified.
    NoVerifiedEmail,
    /// The address has another domain.
    EmailDomain,
    /// The user is in none of the groups.
    Groups,
}

impl Outside {
    /// A stable label for the audit log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoVerifiedEmail => "not_admitted_no_verified_email",
            Self::EmailDomain => "not_admitted_email_domain",
            Self::Groups => "not_admitted_group",
        }
    }
}

impl Admission {
    /// `domains`: `oidc-allowed-email-domains`; `groups`: `oidc-allowed-groups`, by Kubernetes name.
    ///
    /// # Errors
    /// An entry is not a domain, or is empty.
    pub fn new(domains: &[String], groups: &[String]) -> Result<Self, InvalidSetting> {
        let wrong = |entry: &String| {
            InvalidSetting::new(
                "oidc-allowed-email-domains",
                format!("{entry:?} must be a domain as it stands behind the @, such as example.org"),
            )
        };
        let domains = non_empty(domains)
            .iter()
            .map(|entry| domain(entry).ok_or_else(|| wrong(entry)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            domains,
            groups: non_empty(groups),
        })
    }

    /// The accepted groups, by Kubernetes name.
    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Checks a user by the claims about the address, and by their Kubernetes groups.
    ///
    /// # Errors
    /// The user is not admitted.
    pub fn check(&self, claims: &Map<String, Value>, groups: &[String]) -> Result<(), Outside> {
        if !self.domains.is_empty() {
            let email = verified_email(claims).ok_or(Outside::NoVerifiedEmail)?;
            let domain = domain_of(email).ok_or(Outside::NoVerifiedEmail)?;
            if !self.domains.contains(&domain) {
                return Err(Outside::EmailDomain);
            }
        }
        if !self.groups.is_empty() && !groups.iter().any(|group| self.groups.contains(group)) {
            return Err(Outside::Groups);
        }
        Ok(())
    }
}

/// The address, if the provider itself reports it as verified. `oidc-email-verified` has no effect here: an address that users can
/// choose freely must not admit them.
fn verified_email(claims: &Map<String, Value>) -> Option<&str> {
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    claims
        .get("email")
        .and_then(Value::as_str)
        .filter(|_| is_verified)
}

/// The part after the only `@` of an address.
fn domain_of(email: &str) -> Option<String> {
    let (user, host) = email.split_once('@')?;
    if user.is_empty() {
        return None;
    }
    domain(host)
}

/// A domain in its one compared form: ASCII, lower case (UTS 46). `None` for a text that can be read in two ways.
fn domain(text: &str) -> Option<String> {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '-') || (!c.is_ascii() && !c.is_whitespace());
    if !text.contains('.') || text.split('.').any(str::is_empty) || !text.chars().all(is_plain) {
        return None;
    }
    match Host::parse(text) {
        Ok(Host::Domain(domain)) if is_written_out(text, &domain) => Some(domain),
        _ => None,
    }
}

/// Whether a domain differs from its ASCII form only by case and by that form. UTS 46 ignores some characters and maps others to
/// one another (a soft hyphen, full-width letters). Mail does not, so such an address may have another domain.
fn is_written_out(text: &str, ascii: &str) -> bool {
    let lower: String = text
        .chars()
        .flat_map(|c| if c.is_ascii() { c.to_ascii_lowercase() } else { c }.to_lowercase())
        .collect();
    // The lower case of a Kelvin sign is a letter k.
    let folds_to_ascii = |c: char| !c.is_ascii() && c.to_lowercase().any(|lower| lower.is_ascii());
    let (unicode, outcome) = idna::domain_to_unicode(ascii);
    let labels = || ascii.split('.').zip(unicode.split('.'));
    outcome.is_ok()
        && !text.chars().any(folds_to_ascii)
        && lower.split('.').count() == labels().count()
        && lower
            .split('.')
            .zip(labels())
            .all(|(label, (ascii, unicode))| label == ascii || label == unicode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn from_lists(domains: &[&str], groups: &[&str]) -> Admission {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Admission::new(&owned(domains), &owned(groups)).unwrap()
    }

    fn email(address: &str) -> Map<String, Value> {
        let claims = json!({"email": address, "email_verified": true});
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn without_lists_everybody_is_admitted() {
        assert_eq!(from_lists(&[], &[]).check(&Map::new(), &[]), Ok(()));
        assert_eq!(from_lists(&[""], &[""]), Admission::default());
    }

    #[test]
    fn a_domain_is_compared_whole_without_case_and_in_its_ascii_form() {
        let admission = from_lists(&["Example.org", "bücher.example"], &[]);
        for address in [
            "alice@example.org",
            "ALICE@EXAMPLE.ORG",
            "a.b+c@eXample.oRg",
            "x@bücher.example",
            "x@BÜCHER.example",
            "x@xn--bcher-kva.example",
        ] {
            assert_eq!(admission.check(&email(address), &[]), Ok(()), "{address}");
        }
        for address in [
            "alice@sub.example.org",
            "alice@example.org.evil.example",
            "alice@notexample.org",
            "alice@example.orgx",
            "alice@xample.org",
            "alice@bucher.example",
            "alice@org",
        ] {
            let refused = admission.check(&email(address), &[]);
            assert!(refused.is_err(), "{address}");
        }
    }

    #[test]
    fn an_ambiguous_email_address_is_refused() {
        let admission = from_lists(&["example.org"], &[]);
        for address in [
            "",
            "@example.org",
            "example.org",
            "alice@",
            "alice@evil.example@example.org",
            "\"alice@evil.example\"@example.org",
            "alice@example.org.",
            "alice@example.org ",
            "alice@ example.org",
            "alice@example.org\n",
            "alice@exam%70le.org",
            "alice@example.org>",
            "alice@example.org,alice@evil.example",
            "alice@[10.0.0.1]",
            "alice@10.0.0.1",
        ] {
            assert_eq!(
                admission.check(&email(address), &[]),
                Err(Outside::NoVerifiedEmail),
                "{address:?}"
            );
        }
    }

    #[test]
    fn a_domain_that_only_looks_like_an_admitted_one_when_folded_is_not_it() {
        let admission = from_lists(&["example.org", "b\u{fc}cher.example"], &[]);
        for domain in [
            "exam\u{ad}ple.org",
            "exam\u{200b}ple.org",
            "exam\u{2060}ple.org",
            "example\u{fe0f}.org",
            "\u{ff45}xample.org",
            "\u{24d4}xample.org",
            "example.\u{ff4f}rg",
            "example\u{3002}org",
            "example\u{ff0e}org.x",
            "examp\u{2113}e.org",
            "bu\u{308}cher.example",
            "b\u{fc}\u{ad}cher.example",
            "b\u{fc}c\u{ff48}er.example",
        ] {
            let refused = admission.check(&email(&format!("a@{domain}")), &[]);
            assert!(refused.is_err(), "{}", domain.escape_unicode());
        }
        for (setting, domain) in [
            ("bank.example", "ban\u{212a}.example"),
            ("ski.example", "\u{17f}ki.example"),
        ] {
            let refused = from_lists(&[setting], &[]).check(&email(&format!("a@{domain}")), &[]);
            assert!(refused.is_err(), "{domain}");
        }
    }

    #[test]
    fn an_address_counts_only_when_the_provider_says_that_it_is_verified() {
        let admission = from_lists(&["example.org"], &[]);
        for verified in [json!(null), json!(false), json!("true"), json!(1)] {
            let claims = json!({"email": "a@example.org", "email_verified": verified});
            assert_eq!(
                admission.check(claims.as_object().unwrap(), &[]),
                Err(Outside::NoVerifiedEmail),
                "{claims}"
            );
        }
        for claims in [
            json!({"email": "a@example.org"}),
            json!({"email": 1, "email_verified": true}),
        ] {
            assert!(
                admission.check(claims.as_object().unwrap(), &[]).is_err(),
                "{claims}"
            );
        }
    }

    #[test]
    fn one_of_the_groups_is_enough_by_its_whole_name_and_both_lists_must_be_satisfied() {
        let group = |name: &str| vec!["oidc:others".to_owned(), name.to_owned()];
        let admission = from_lists(&[], &["oidc:staff", "oidc:a,b"]);
        assert_eq!(admission.check(&Map::new(), &group("oidc:staff")), Ok(()));
        assert_eq!(admission.check(&Map::new(), &group("oidc:a,b")), Ok(()));
        for other in ["oidc:Staff", "staff", "oidc:staff2", "oidc:a", "b"] {
            assert_eq!(
                admission.check(&Map::new(), &group(other)),
                Err(Outside::Groups),
                "{other}"
            );
        }
        let both = from_lists(&["example.org"], &["oidc:staff"]);
        let alice = email("a@example.org");
        assert_eq!(both.check(&alice, &group("oidc:staff")), Ok(()));
        assert_eq!(both.check(&alice, &[]), Err(Outside::Groups));
        assert_eq!(
            both.check(&email("a@evil.example"), &group("oidc:staff")),
            Err(Outside::EmailDomain)
        );
    }

    #[test]
    fn a_setting_that_is_no_domain_is_named() {
        for wrong in [
            "@example.org",
            "*.example.org",
            ".example.org",
            "example.org.",
            "org",
            "a b.org",
            "10.0.0.1",
        ] {
            let error = Admission::new(&[wrong.to_owned()], &[]).unwrap_err();
            assert_eq!(error.setting, "oidc-allowed-email-domains", "{wrong}");
            assert!(error.problem.contains(wrong), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_other_domain_is_admitted(address in "\\PC{0,12}@\\PC{0,24}") {
            let admission = from_lists(&["example.org"], &[]);
            if admission.check(&email(&address), &[]).is_ok() {
                let (_, host) = address.rsplit_once('@').unwrap();
                prop_assert_eq!(Host::parse(host).unwrap().to_string(), "example.org");
            }
        }
    }
}
