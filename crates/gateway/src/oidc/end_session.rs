//! sign-out here -> the URL that ends the provider's own session (pure).

use openidconnect::url::Url;

use super::Provider;

/// A longer ID token is omitted from the URL, because many servers accept no longer URLs.
const MAX_HINT: usize = 4 * 1024;

impl Provider {
    /// URL that ends the provider's own session and leads back to `back`, with `state` if there is one. `None` when the provider
    /// has no such endpoint.
    pub fn end_session_url(&self, id_token: Option<&str>, back: &str, state: Option<&str>) -> Option<String> {
        let mut url = self.end_session.clone()?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("client_id", &self.settings.client_id);
            query.append_pair("post_logout_redirect_uri", back);
            if let Some(hint) = id_token.filter(|token| !token.is_empty() && token.len() <= MAX_HINT) {
                query.append_pair("id_token_hint", hint);
            }
            if let Some(state) = state {
                query.append_pair("state", state);
            }
        }
        Some(url.into())
    }

    /// Whether a user can change the account only by signing out at the provider. It can end its session, and reports that it does
    /// not support a choice of accounts.
    pub fn knows_one_account(&self) -> bool {
        self.end_session.is_some() && self.other_prompt == "login"
    }

    /// Origin of that URL.
    pub fn end_session_origin(&self) -> Option<String> {
        self.end_session
            .as_ref()
            .map(|url: &Url| url.origin().ascii_serialization())
    }
}
