//! login or token -> how a user authenticated (data).

use std::collections::BTreeMap;

/// How a user authenticated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A login: the browser has a cookie.
    #[default]
    Login,
    /// A user's token, issued by an identity provider.
    User,
    /// A service account's token, reviewed by the API server.
    ServiceAccount(Box<Reviewed>),
}

/// Attributes of a token's owner that the API server reports beside name and groups. Authorizers may use them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reviewed {
    /// UID of the account: another account of the same name has another.
    pub uid: String,
    /// Further attributes, such as the pod that the token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Credential {
    /// A stable label for logs and metrics; `None` for a login, which is the default of every record.
    pub fn label(&self) -> Option<&'static str> {
        match self {
            Self::Login => None,
            Self::User => Some("user"),
            Self::ServiceAccount(_) => Some("service_account"),
        }
    }
}
