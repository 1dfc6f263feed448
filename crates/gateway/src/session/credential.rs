//! how a user authenticated (data).

use std::collections::BTreeMap;

/// How a user authenticated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Credential {
    /// They signed in: a cookie.
    #[default]
    Login,
    /// A user's token, by an identity provider.
    Person,
    /// A service account's token, by the API server.
    ServiceAccount(Box<Reviewed>),
}

/// What the API server says of a token's owner beside name and groups. Authorizers may look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reviewed {
    /// UID of the account: another one of the same name has another.
    pub uid: String,
    /// Further attributes, such as the pod that the token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Credential {
    /// One stable word for logs and metrics; `None` for a login, which is what every record without a word is about.
    pub fn label(&self) -> Option<&'static str> {
        match self {
            Self::Login => None,
            Self::Person => Some("person"),
            Self::ServiceAccount(_) => Some("service_account"),
        }
    }
}
