//! digest of a token -> the recent answer about it (in memory, bounded by bytes).
//!
//! The key is a digest: no token stays in memory for longer than a request or a websocket.

use std::time::Duration;

use moka::future::Cache as MokaCache;

use super::error::{TokenError, TokenRefusal};
use super::{Accepted, Digest};
use crate::session::{Credential, Session};

/// How long an accepted token is not checked again, in seconds. A revoked token stops working within this time.
pub(super) const TTL: i64 = 60;
/// How long a refused token stays refused without another check, in seconds.
const TTL_REFUSED: i64 = 5;
/// How long a token that was accepted is checked again without counting against a rate limit, in seconds.
const TTL_KNOWN: i64 = 15 * 60;
/// Approximate maximum of bytes for answers of one kind: an answer with many groups is long.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// Approximate size of an entry without its texts.
const ENTRY: usize = 512;
/// Size of a text without its characters.
const TEXT: usize = size_of::<String>();

/// A refused token.
#[derive(Debug, Clone)]
struct Expiry {
    why: TokenRefusal,
    /// Time of the check, Unix seconds.
    asked: i64,
}

/// Recent answers.
pub(super) struct Cache {
    accepted: MokaCache<Digest, Accepted>,
    refused: MokaCache<Digest, Expiry>,
    /// Until when each token may be checked outside the rate limit, Unix seconds. An entry here admits no one.
    known: MokaCache<Digest, i64>,
}

impl Cache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        Self {
            accepted: cache(TTL, size),
            refused: cache(TTL_REFUSED, size_of_past),
            known: cache(TTL_KNOWN, |_| ENTRY),
        }
    }

    /// The accepted token, if its check is recent enough at `now`.
    pub(super) async fn acceptance(&self, digest: &Digest, now: i64) -> Option<Accepted> {
        let counts = |accepted: &Accepted| {
            accepted.session.end > now && (accepted.asked..accepted.asked + TTL).contains(&now)
        };
        let accepted = self.accepted.get(digest).await.filter(counts);
        if accepted.is_none() {
            self.accepted.invalidate(digest).await;
        }
        accepted
    }

    /// Why the token was refused, if that check is recent at `now`.
    pub(super) async fn refusal(&self, digest: &Digest, now: i64) -> Option<TokenRefusal> {
        let past = self.refused.get(digest).await?;
        let counts = (past.asked..past.asked + TTL_REFUSED).contains(&now);
        counts.then_some(past.why)
    }

    /// Whether the token was accepted not long before `now`.
    pub(super) async fn is_known(&self, digest: &Digest, now: i64) -> bool {
        self.known.get(digest).await.is_some_and(|until| now < until)
    }

    /// Runs the check. Concurrent requests with the same token share one check and its answer. Errors are shared and not cached.
    pub(super) async fn answer(
        &self,
        digest: Digest,
        asking: impl Future<Output = Result<Accepted, TokenError>>,
    ) -> Result<Accepted, TokenError> {
        let answer = self.accepted.try_get_with(digest, Box::pin(asking)).await;
        let accepted = answer.map_err(|error| (*error).clone())?;
        let until = accepted.session.end.min(accepted.asked + TTL_KNOWN);
        self.known.insert(digest, until).await;
        Ok(accepted)
    }

    /// Records that the token was refused at `now`.
    pub(super) async fn refuse(&self, digest: Digest, why: TokenRefusal, now: i64) {
        self.accepted.invalidate(&digest).await;
        self.known.invalidate(&digest).await;
        self.refused.insert(digest, Expiry { why, asked: now }).await;
    }
}

/// Entries also expire by the machine's clock, so that a clock that is set back extends none.
fn cache<V: Clone + Send + Sync + 'static>(
    seconds: i64,
    size: impl Fn(&V) -> usize + Send + Sync + 'static,
) -> MokaCache<Digest, V> {
    MokaCache::builder()
        .max_capacity(MOST_BYTES)
        .weigher(move |_, value| u32::try_from(size(value)).unwrap_or(u32::MAX))
        .time_to_live(Duration::from_secs(seconds.unsigned_abs()))
        .build()
}

/// Approximate size of an answer in bytes.
fn size(accepted: &Accepted) -> usize {
    let Session {
        identity, credential, ..
    } = &*accepted.session;
    let texts = |texts: &[String]| -> usize { texts.iter().map(|text| TEXT + text.len()).sum() };
    let reviewed = match credential {
        Credential::ServiceAccount(reviewed) => {
            let extra = reviewed.extra.iter();
            reviewed.uid.len()
                + extra
                    .map(|(name, values)| 2 * TEXT + name.len() + texts(values))
                    .sum::<usize>()
        }
        _ => 0,
    };
    ENTRY + identity.user_name.len() + texts(&identity.groups) + reviewed
}

fn size_of_past(past: &Expiry) -> usize {
    ENTRY
        + match &past.why {
            TokenRefusal::NotAdmitted { user, issuer, .. } => user.len() + issuer.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::oidc::claims::Identity;
    use crate::tokens::RandomId;

    #[tokio::test]
    async fn answers_with_many_groups_are_kept_up_to_a_number_of_bytes() {
        let cache = Cache::new();
        for number in 0..64u8 {
            let session = Session {
                id: RandomId::new().unwrap(),
                identity: Identity {
                    user_name: "alice".into(),
                    groups: vec!["g".repeat(1023); 1024],
                },
                end: 100,
                credential: Credential::User,
                id_token: None,
            };
            let session = Arc::new(session);
            let asking = async { Ok(Accepted { session, asked: 0 }) };
            cache.answer([number; 32], asking).await.unwrap();
        }
        cache.accepted.run_pending_tasks().await;
        assert!((1..=15).contains(&cache.accepted.entry_count()), "1 MiB each");
        assert!(cache.accepted.weighted_size() <= MOST_BYTES);
    }
}
