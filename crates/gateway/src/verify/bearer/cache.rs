//! digest of a token -> the recent answer about it (in memory, bounded by bytes).
//!
//! By digest: no token stays in memory for longer than a request or a websocket.

use std::time::Duration;

use moka::future::Cache as MokaCache;

use super::refused::{Refused, Unfit};
use super::{Accepted, Digest};
use crate::session::{Credential, Session};

/// How long a token counts without being looked at again, in seconds: whoever loses one is shut out within this.
pub(super) const TTL: i64 = 60;
/// A websocket's token is asked about again from this age on, in seconds, so that the answer is there when it is due.
pub(super) const RENEW: i64 = 45;
/// How long one that does not count is refused without being looked at again, in seconds.
const TTL_REFUSED: i64 = 5;
/// How long one that counted may be looked at again at nobody's cost, in seconds.
const TTL_KNOWN: i64 = 15 * 60;
/// Most bytes, about, that answers of one kind take: with many groups one is long.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// What an entry takes beside its texts, about.
const ENTRY: usize = 512;
/// What a text takes beside its characters.
const TEXT: usize = size_of::<String>();

/// Who asks about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request.
    Request,
    /// A websocket, ahead of time: what requests go by stays until there is an answer.
    Renewal,
}

/// A token that does not count.
#[derive(Debug, Clone)]
struct Past {
    why: Refused,
    /// When that was found, Unix seconds.
    asked: i64,
}

/// What was said lately.
pub(super) struct Cache {
    accepted: MokaCache<Digest, Accepted>,
    renewed: MokaCache<Digest, Accepted>,
    refused: MokaCache<Digest, Past>,
    /// Until when each may be asked about freely, Unix seconds. It lets nobody in.
    known: MokaCache<Digest, i64>,
}

impl Cache {
    /// Nothing was said yet.
    pub(super) fn new() -> Self {
        Self {
            accepted: cache(TTL, size),
            renewed: cache(TTL, size),
            refused: cache(TTL_REFUSED, size_of_past),
            known: cache(TTL_KNOWN, |_| ENTRY),
        }
    }

    /// A token that counts, as was found shortly enough before `now` for who asks.
    pub(super) async fn accepted(&self, digest: &Digest, purpose: Purpose, now: i64) -> Option<Accepted> {
        let keep = match purpose {
            Purpose::Request => TTL,
            Purpose::Renewal => RENEW,
        };
        let counts = |accepted: &Accepted| {
            accepted.session.end > now && (accepted.asked..accepted.asked + keep).contains(&now)
        };
        let caches = match purpose {
            Purpose::Request => &[&self.accepted][..],
            Purpose::Renewal => &[&self.accepted, &self.renewed],
        };
        for cache in caches {
            if let Some(accepted) = cache.get(digest).await.filter(counts) {
                return Some(accepted);
            }
        }
        self.of(purpose).invalidate(digest).await;
        None
    }

    /// Why a token does not count, as was found shortly before `now`.
    pub(super) async fn refused(&self, digest: &Digest, now: i64) -> Option<Refused> {
        let past = self.refused.get(digest).await?;
        let counts = (past.asked..past.asked + TTL_REFUSED).contains(&now);
        counts.then_some(past.why)
    }

    /// Whether the token counted not long before `now`.
    pub(super) async fn is_known(&self, digest: &Digest, now: i64) -> bool {
        self.known.get(digest).await.is_some_and(|until| now < until)
    }

    /// What comes of asking. Whoever brings the same token meanwhile waits for the same answer; errors are shared and not cached.
    pub(super) async fn answer(
        &self,
        digest: Digest,
        purpose: Purpose,
        asking: impl Future<Output = Result<Accepted, Unfit>>,
    ) -> Result<Accepted, Unfit> {
        let answer = self.of(purpose).try_get_with(digest, Box::pin(asking)).await;
        let accepted = answer.map_err(|unfit| (*unfit).clone())?;
        if purpose == Purpose::Renewal {
            self.accepted.insert(digest, accepted.clone()).await;
        }
        let until = accepted.session.end.min(accepted.asked + TTL_KNOWN);
        self.known.insert(digest, until).await;
        Ok(accepted)
    }

    /// The token does not count, as was found at `now`.
    pub(super) async fn refuse(&self, digest: Digest, why: Refused, now: i64) {
        self.accepted.invalidate(&digest).await;
        self.renewed.invalidate(&digest).await;
        self.known.invalidate(&digest).await;
        self.refused.insert(digest, Past { why, asked: now }).await;
    }

    fn of(&self, purpose: Purpose) -> &MokaCache<Digest, Accepted> {
        match purpose {
            Purpose::Request => &self.accepted,
            Purpose::Renewal => &self.renewed,
        }
    }
}

/// Ends by the machine's clock as well, so that a clock that is set back makes nothing last.
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

/// Bytes that an answer takes, about.
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

fn size_of_past(past: &Past) -> usize {
    ENTRY
        + match &past.why {
            Refused::NotAdmitted { user, issuer, .. } => user.len() + issuer.len(),
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
                credential: Credential::Person,
            };
            let session = Arc::new(session);
            let asking = async { Ok(Accepted { session, asked: 0 }) };
            cache
                .answer([number; 32], Purpose::Request, asking)
                .await
                .unwrap();
        }
        cache.accepted.run_pending_tasks().await;
        assert!((1..=15).contains(&cache.accepted.entry_count()), "1 MiB each");
        assert!(cache.accepted.weighted_size() <= MOST_BYTES);
    }
}
