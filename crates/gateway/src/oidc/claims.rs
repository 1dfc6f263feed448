//! claims of a verified ID token -> Kubernetes user name and groups, as kube-apiserver does (pure).

use rules::access::MAX_GROUPS;
use serde_json::{Map, Value};

/// Maximum total size of their names, in bytes.
pub(crate) const MAX_GROUP_BYTES: usize = 64 * 1024;
/// Longest user name, in bytes.
const MAX_USER_NAME: usize = 1024;

/// A user's identity in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Kubernetes user name.
    pub user_name: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
}

/// How claims become an identity. The settings have the names of the API server's own OpenID Connect settings, so that both sides
/// agree on owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    username_claim: String,
    username_prefix: String,
    groups_claim: Option<String>,
    groups_prefix: String,
    /// Only groups whose name in the claim begins with one of these prefixes are used. Empty: all groups are used.
    pub(super) groups_filter: Vec<String>,
    /// The rule about addresses as user names.
    pub(super) email_verified: EmailVerified,
}

/// When the claim `email` may be the user name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[value(rename_all = "PascalCase")]
pub enum EmailVerified {
    /// Only if the provider reports the address as verified.
    #[default]
    Required,
    /// Unless the provider reports the address as not verified, as kube-apiserver does.
    IfPresent,
}

impl Mapping {
    /// `username_prefix`: `None` means `<issuer>#`, but no prefix for the claim `email`; `-` means none. `groups_claim`: `None`
    /// means that users have no groups.
    pub fn new(
        issuer: &str,
        username_claim: &str,
        username_prefix: Option<&str>,
        groups_claim: Option<&str>,
        groups_prefix: &str,
    ) -> Self {
        let username_prefix = match username_prefix {
            Some("-") => String::new(),
            None | Some("") if username_claim == "email" => String::new(),
            None | Some("") => format!("{issuer}#"),
            Some(prefix) => prefix.to_owned(),
        };
        Self {
            username_claim: username_claim.to_owned(),
            username_prefix,
            groups_claim: groups_claim.filter(|claim| !claim.is_empty()).map(str::to_owned),
            groups_prefix: groups_prefix.to_owned(),
            groups_filter: Vec::new(),
            email_verified: EmailVerified::Required,
        }
    }

    /// Prefix of every user name.
    pub(crate) fn username_prefix(&self) -> &str {
        &self.username_prefix
    }

    /// Prefix of every group; `None`: users have no groups.
    pub(super) fn groups_prefix(&self) -> Option<&str> {
        self.groups_claim.as_ref().map(|_| self.groups_prefix.as_str())
    }

    /// Whether the mapping can give a user a group of this Kubernetes name.
    pub(super) fn can_give(&self, group: &str) -> bool {
        let name = self.groups_prefix().and_then(|prefix| group.strip_prefix(prefix));
        name.is_some_and(|name| self.counts(name))
    }

    fn counts(&self, group: &str) -> bool {
        let filter = &self.groups_filter;
        filter.is_empty()
            || filter
                .iter()
                .any(|beginning| group.starts_with(beginning.as_str()))
    }

    /// Maps verified claims.
    ///
    /// # Errors
    /// A claim is missing, has the wrong type, or leads to a reserved name.
    pub fn identify(&self, claims: &Map<String, Value>) -> Result<Identity, IdentityError> {
        Ok(Identity {
            user_name: self.user_name(claims)?,
            groups: self.groups(claims)?,
        })
    }

    fn user_name(&self, claims: &Map<String, Value>) -> Result<String, IdentityError> {
        let claim = &self.username_claim;
        let missing = || IdentityError::UserName { claim: claim.clone() };
        let name = claims.get(claim).and_then(Value::as_str).ok_or_else(missing)?;
        let is_verified = match claims.get("email_verified") {
            Some(verified) => *verified == Value::Bool(true),
            None => self.email_verified == EmailVerified::IfPresent,
        };
        if claim == "email" && !is_verified {
            return Err(IdentityError::EmailNotVerified);
        }
        if name.is_empty() || name.chars().any(char::is_control) || name.len() > MAX_USER_NAME {
            return Err(missing());
        }
        let user_name = format!("{}{name}", self.username_prefix);
        if api::names::is_of_kubernetes(&user_name) {
            return Err(IdentityError::Reserved { claim: claim.clone() });
        }
        Ok(user_name)
    }

    fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, IdentityError> {
        let Some(claim) = &self.groups_claim else {
            return Ok(Vec::new());
        };
        let wrong_type = || IdentityError::Groups { claim: claim.clone() };
        if are_left_out(claims, claim) {
            return Err(IdentityError::TooManyGroups { claim: claim.clone() });
        }
        let mut listed = match claims.get(claim) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::String(group)) => vec![group.as_str()],
            Some(Value::Array(groups)) => groups
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or_else(wrong_type)?,
            Some(_) => return Err(wrong_type()),
        };
        listed.retain(|group| self.counts(group));
        if listed.iter().any(|group| group.chars().any(char::is_control)) {
            return Err(IdentityError::GroupName { claim: claim.clone() });
        }
        let prefix = &self.groups_prefix;
        let bytes: usize = listed.iter().map(|group| prefix.len() + group.len()).sum();
        if listed.len() > MAX_GROUPS || bytes > MAX_GROUP_BYTES {
            return Err(IdentityError::TooManyGroups { claim: claim.clone() });
        }
        let mut groups: Vec<String> = listed.iter().map(|group| format!("{prefix}{group}")).collect();
        // Sorted, so that another order in the provider's answer is no change.
        groups.sort_unstable();
        groups.dedup();
        if groups.iter().any(|group| api::names::is_of_kubernetes(group)) {
            return Err(IdentityError::Reserved { claim: claim.clone() });
        }
        Ok(groups)
    }
}

/// Whether the provider reports that a user has groups which the token does not list. They are at another address (distributed
/// claims), or too many (Entra ID's `hasgroups`, which is about the claim `groups` alone). Then the groups are unknown, and not
/// empty.
fn are_left_out(claims: &Map<String, Value>, claim: &str) -> bool {
    let elsewhere = claims.get("_claim_names").and_then(|names| names.get(claim));
    let too_many = claim == "groups"
        && match claims.get("hasgroups") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
            Some(_) => true,
        };
    elsewhere.is_some() || too_many
}

/// Why an ID token leads to no identity. The text is for the user and their administrator. It contains no value of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No usable user name.
    #[error(
        "the identity provider sent no usable user name: the ID token's claim {claim:?} (Helm value oidc.usernameClaim) is missing, empty, not a string, longer than {MAX_USER_NAME} bytes, or contains control characters"
    )]
    UserName {
        /// The configured claim.
        claim: String,
    },
    /// The address is not verified.
    #[error("the identity provider does not say that the e-mail address is verified (claim email_verified)")]
    EmailNotVerified,
    /// The groups are not a list of names.
    #[error("the ID token's claim {claim:?} (Helm value oidc.groupsClaim) is not a list of group names")]
    Groups {
        /// The configured claim.
        claim: String,
    },
    /// A group's name has invalid characters.
    #[error(
        "a group name in the claim {claim:?} (Helm value oidc.groupsClaim) contains control characters; rename the group at the identity provider, or leave it out with the Helm value oidc.groupsFilter"
    )]
    GroupName {
        /// The configured claim.
        claim: String,
    },
    /// More groups than are accepted, or the provider left them out because there are too many.
    #[error(
        "too many groups in the claim {claim:?}: at most {MAX_GROUPS} groups of {MAX_GROUP_BYTES} bytes together; send fewer with a groups filter for this client at the identity provider, or keep fewer with the Helm value oidc.groupsFilter"
    )]
    TooManyGroups {
        /// The configured claim.
        claim: String,
    },
    /// A name that is reserved for Kubernetes itself.
    #[error(
        "the claim {claim:?} gives a name that begins with \"system:\" or \"kubeadm:\", which Kubernetes reserves for itself"
    )]
    Reserved {
        /// The configured claim.
        claim: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://identity.example/realms/x";

    fn identify(mapping: &Mapping, claims: &Value) -> Result<Identity, IdentityError> {
        mapping.identify(claims.as_object().unwrap())
    }

    fn groups(prefix: &str, claims: &Value) -> Result<Vec<String>, IdentityError> {
        let mapping = Mapping::new(ISSUER, "sub", None, Some("groups"), prefix);
        identify(&mapping, claims).map(|identity| identity.groups)
    }

    /// `kit` depends on no other crate, so it has these names once more.
    #[test]
    fn names_of_kubernetes_are_in_no_assertion_either() {
        for prefix in api::names::KUBERNETES_PREFIXES {
            let name = format!("{prefix}x");
            assert!(
                kit::assertion_signer::check_identity(&name, &[]).is_err(),
                "{name}"
            );
            assert!(kit::assertion_signer::check_identity("alice", std::slice::from_ref(&name)).is_err());
            let claims = json!({"sub": "1", "groups": [name]});
            assert!(matches!(groups("", &claims), Err(IdentityError::Reserved { .. })));
        }
    }

    /// The table is fixed: a changed row renames users.
    #[test]
    fn claims_become_names_as_the_table_says() {
        let table: Vec<Value> = serde_json::from_str(include_str!("identities.json")).unwrap();
        for row in table {
            let text = |name: &str| row[name].as_str();
            let email = match text("emailVerified") {
                Some("IfPresent") => EmailVerified::IfPresent,
                _ => EmailVerified::Required,
            };
            let filter = row["groupsFilter"].as_array().into_iter().flatten();
            let mut mapping = Mapping::new(
                "https://identity.example/x",
                text("usernameClaim").unwrap_or("sub"),
                text("usernamePrefix"),
                text("groupsClaim"),
                text("groupsPrefix").unwrap_or_default(),
            );
            mapping.email_verified = email;
            mapping.groups_filter = filter
                .map(|beginning| beginning.as_str().unwrap().to_owned())
                .collect();
            let message = match identify(&mapping, &row["claims"]) {
                Ok(identity) => json!({"user": identity.user_name, "groups": identity.groups}),
                Err(error) => json!({"refused": format!("{error:?}").split(' ').next().unwrap()}),
            };
            let expected = match text("refused") {
                Some(error) => json!({"refused": error}),
                None => json!({"user": row["user"], "groups": row.get("groups").unwrap_or(&json!([]))}),
            };
            assert_eq!(message, expected, "{}", row["is"]);
        }
    }

    #[test]
    fn a_filter_makes_room_below_the_bound() {
        let groups: Vec<_> = (0..5000)
            .map(|number| format!("{}-{number}", if number % 5 == 0 { "k8s" } else { "x" }))
            .collect();
        let mut mapping = Mapping::new(ISSUER, "sub", None, Some("groups"), "");
        mapping.groups_filter = vec!["k8s-".into()];
        let identity = identify(&mapping, &json!({"sub": "1", "groups": groups})).unwrap();
        assert_eq!(identity.groups.len(), 1000);
    }

    #[test]
    fn groups_are_one_name_or_a_list_and_keep_their_commas() {
        let table = [
            (json!({"sub": "1"}), vec![]),
            (json!({"sub": "1", "groups": null}), vec![]),
            (json!({"sub": "1", "groups": "a,b"}), vec!["oidc:a,b"]),
            (
                json!({"sub": "1", "groups": ["a,b", "c"]}),
                vec!["oidc:a,b", "oidc:c"],
            ),
        ];
        for (claims, expected) in table {
            assert_eq!(groups("oidc:", &claims).unwrap(), expected, "{claims}");
        }
        for wrong in [json!(1), json!(["a", 1]), json!({"a": "b"})] {
            assert!(matches!(
                groups("", &json!({"sub": "1", "groups": wrong})),
                Err(IdentityError::Groups { .. })
            ));
        }
    }

    #[test]
    fn a_group_with_control_characters_is_refused_unless_it_is_left_out_anyway() {
        for odd in ["a\nb", "\0", "k8s-\u{1b}[31m", "\u{7f}"] {
            let claims = json!({"sub": "1", "groups": ["b", odd]});
            let error = groups("g:", &claims).unwrap_err();
            assert!(
                matches!(error, IdentityError::GroupName { .. }),
                "{odd:?} {error}"
            );
            assert!(!error.to_string().contains(odd), "no value of a claim");
        }
        let mut mapping = Mapping::new(ISSUER, "sub", None, Some("groups"), "");
        mapping.groups_filter = vec!["k8s-".into()];
        let claims = json!({"sub": "1", "groups": ["a\nb", "k8s-ml"]});
        assert_eq!(identify(&mapping, &claims).unwrap().groups, ["k8s-ml"]);
    }

    #[test]
    fn too_many_groups_or_left_out_groups_are_unknown_not_none() {
        let many = |count: usize, length: usize| {
            let groups: Vec<_> = (0..count).map(|number| format!("{number:0length$}")).collect();
            json!({"sub": "1", "groups": groups})
        };
        assert_eq!(groups("", &many(1000, 4)).unwrap().len(), 1000);
        assert_eq!(groups("", &many(64, 1024)).unwrap().len(), 64);
        for claims in [
            many(1001, 4),
            many(65, 1024),
            json!({"sub": "1", "_claim_names": {"groups": "src1"}}),
            json!({"sub": "1", "hasgroups": true}),
        ] {
            let error = groups("", &claims).unwrap_err();
            assert!(error.to_string().contains("groups filter"), "{error}");
        }
        assert!(matches!(
            groups("o", &many(64, 1024)),
            Err(IdentityError::TooManyGroups { .. })
        ));
    }
}
