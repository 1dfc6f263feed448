//! session in use -> renewed at the provider, with its current groups (IO, in the background).
//!
//! One replica asks the provider at a time. It first writes `refreshingUntil` on top of the state that it read. The replica that
//! loses that write reads again. Otherwise a provider with one-time refresh tokens would end the session. An answer counts only
//! while the object still holds the identifier of that request.
//!
//! - here: when to renew, and no answer in time: the session stays valid until `doubtful` (`session/content.rs`)
//! - `answer`: what the provider's answer means for the session
//! - `pauses`: how long a provider that does not answer is not asked

mod answer;
mod pauses;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::answer::{Attestation, attestation};
use self::pauses::{Pauses, jitter};
use super::change::{Changed, Edit};
use super::content::{Content, IdToken, Lifetimes};
use super::view::{SessionState, Validity};
use super::{Session, Sessions, Unavailable, unavailable};
use crate::oidc::{Provider, Providers, Registered, Renewed};
use crate::tokens::RandomId;

/// Maximum number of sessions in the queue; further ones wait for their next use.
const QUEUE: usize = 4096;
/// Maximum number of sessions processed at a time.
const MAX_PARALLEL: usize = 16;
/// How long one replica reserves the renewal, in seconds: longer than the provider's answer and the writes after it take.
const CLAIM: i64 = 30;
/// How long a request waits for the renewal of a session that the provider has not confirmed for long.
const REVIVAL: Duration = Duration::from_secs(3);
/// How long an outcome is cached.
const REMEMBERED: Duration = Duration::from_secs(2);
/// Pause after a failed renewal of a session, in seconds, before jitter.
const POSTPONED: i64 = 30;
/// Interval and number of checks for another replica's result.
const CHECK_INTERVAL: (Duration, usize) = (Duration::from_millis(250), 12);
/// First and longest pause between attempts to store the provider's answer. Without it the session may be lost.
const STORE_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// How long these attempts continue.
const STORE_FOR: Duration = Duration::from_mins(10);

/// Outcome of a session's upkeep.
#[derive(Clone)]
enum Outcome {
    /// The known state after it.
    Current(Arc<SessionState>),
    /// The session is gone.
    Gone,
    /// The API server did not answer.
    Failed,
}

/// The renewal queue, its caches, and the pauses of providers.
pub(super) struct Renewal {
    providers: Option<Arc<Providers>>,
    wanted: mpsc::Sender<RandomId>,
    queue: Mutex<Option<mpsc::Receiver<RandomId>>>,
    outcomes: moka::future::Cache<RandomId, Outcome>,
    pauses: Pauses,
}

impl Default for Renewal {
    fn default() -> Self {
        let (wanted, queue) = mpsc::channel(QUEUE);
        let outcomes = moka::future::Cache::builder()
            .max_capacity(super::REMEMBERED)
            .time_to_live(REMEMBERED)
            .build();
        Self {
            providers: None,
            wanted,
            queue: Mutex::new(Some(queue)),
            outcomes,
            pauses: Pauses::default(),
        }
    }
}

impl Renewal {
    pub(super) fn by(&mut self, providers: Arc<Providers>) {
        self.providers = Some(providers);
    }

    /// Queues a session for upkeep. When the queue is full, its next use does.
    pub(super) fn want(&self, id: RandomId) {
        let _ = self.wanted.try_send(id);
    }

    pub(super) async fn forget(&self, id: RandomId) {
        self.outcomes.invalidate(&id).await;
    }

    /// Whether no provider of the settings has this issuer. Its sessions cannot continue.
    fn is_foreign(&self, issuer: &str) -> bool {
        let providers = self.providers.as_ref();
        providers.is_some_and(|providers| providers.by_issuer(issuer).is_none())
    }

    /// The provider of this issuer, if it can be asked at `now`.
    fn reachable_provider(&self, issuer: &str, now: i64) -> Option<(&Registered, &Provider)> {
        let registered = self.providers.as_ref()?.by_issuer(issuer)?;
        (!self.pauses.is_pausing(issuer, now)).then_some((registered, registered.get()?))
    }
}

fn unconfirmed() -> Unavailable {
    Unavailable("the identity provider did not confirm the session".into())
}

/// What to do about a session.
enum Claim {
    /// Ask the provider: no other replica does.
    Ask,
    /// Another replica asks.
    Busy,
    /// Nothing more.
    Rest,
}

/// Decides, and changes `content` accordingly. `question`: identifier of the request, if the provider may be asked.
fn claim(content: &mut Content, now: i64, limits: Lifetimes, question: Option<RandomId>) -> Edit<Claim> {
    let times = content.times(limits);
    if now >= times.over {
        return Edit::Leave(Claim::Rest);
    }
    // A refused request does not count as use: it must not keep alive a session that admits nothing.
    let is_use = now < times.doubtful;
    if question.is_some() && now >= content.due && content.refresh_token().is_some() {
        if now < content.refreshing_until {
            return Edit::Leave(Claim::Busy);
        }
        if is_use {
            content.used = now;
        }
        content.refreshing_until = now + CLAIM;
        content.question = question;
        return Edit::Write(Claim::Ask);
    }
    if is_use && now >= content.used + limits.note_after() {
        content.used = now;
        return Edit::Write(Claim::Rest);
    }
    Edit::Leave(Claim::Rest)
}

/// When to ask again after `pause` seconds. If the session becomes doubtful earlier, it asks at that moment.
fn again(content: &Content, now: i64, pause: i64, limits: Lifetimes) -> i64 {
    let doubtful = content.times(limits).doubtful;
    if now < doubtful {
        doubtful.min(now + pause)
    } else {
        now + pause
    }
}

impl Sessions {
    /// Processes queued sessions until `stop`, then finishes those in progress.
    pub async fn maintain(&self, stop: CancellationToken) {
        let queue = self.renewal.queue.lock().take();
        let Some(mut queue) = queue else { return };
        let mut under_way = HashSet::new();
        let mut work = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(id) = queue.recv(), if work.len() < MAX_PARALLEL => {
                    if under_way.insert(id) {
                        work.push(async move { self.maintain_one(id).await; id });
                    }
                }
                Some(id) = work.next(), if !work.is_empty() => {
                    under_way.remove(&id);
                }
                () = stop.cancelled() => break,
            }
        }
        while work.next().await.is_some() {}
    }

    /// Waits up to a short timeout for a session that the provider must confirm first.
    pub(super) async fn revive(&self, id: RandomId) -> Result<Option<Arc<Session>>, Unavailable> {
        match timeout(REVIVAL, self.outcome_of(id)).await {
            Ok(Outcome::Current(known)) => match known.validity(self.clock.now()) {
                Validity::Good(session) => Ok(Some(session)),
                Validity::Doubtful => Err(unconfirmed()),
                Validity::Over | Validity::Unreadable => Ok(None),
            },
            Ok(Outcome::Gone) => Ok(None),
            Ok(Outcome::Failed) => Err(unconfirmed()),
            Err(_) => Err(Unavailable("the identity provider did not answer in time".into())),
        }
    }

    /// An ID token of the user of `session`: one that is valid for a while if the provider issues it within a short timeout, else what
    /// there is. `None`: there is none, or it has ended.
    pub(crate) async fn id_token(&self, session: &Session) -> Option<IdToken> {
        let known = session.id_token.as_ref()?;
        if known.lasts(self.clock.now()) {
            return Some(known.clone());
        }
        let newer = match timeout(REVIVAL, self.outcome_of(session.id)).await {
            Ok(Outcome::Current(newer)) => newer.open.as_ref().and_then(|open| open.session.id_token.clone()),
            _ => None,
        };
        let token = newer.unwrap_or_else(|| known.clone());
        (self.clock.now() < token.ends).then_some(token)
    }

    /// Queues a session, and waits for the outcome.
    async fn outcome_of(&self, id: RandomId) -> Outcome {
        let mut changes = self.changes.subscribe();
        let mut is_queued = false;
        loop {
            match self.renewal.outcomes.get(&id).await {
                // It was valid until now.
                Some(Outcome::Current(known)) if known.validity(self.clock.now()) == Validity::Doubtful => {}
                Some(outcome) => return outcome,
                None => {}
            }
            if !std::mem::replace(&mut is_queued, true) {
                self.renewal.want(id);
            }
            if changes.changed().await.is_err() {
                return Outcome::Failed;
            }
        }
    }

    /// Whether the portal needs a newer ID token than the session has.
    fn lacks_id_token(&self, known: &SessionState) -> bool {
        let token = known
            .open
            .as_ref()
            .and_then(|open| open.session.id_token.as_ref());
        token.is_some_and(|token| !token.lasts(self.clock.now()))
    }

    async fn maintain_one(&self, id: RandomId) {
        let outcome = match self.renew(id).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(session = ?id, %error, "a session could not be renewed");
                Outcome::Failed
            }
        };
        self.renewal.outcomes.insert(id, outcome).await;
        self.notify();
    }

    async fn renew(&self, id: RandomId) -> Result<Outcome, Unavailable> {
        for _ in 0..CHECK_INTERVAL.1 {
            let question = RandomId::new().map_err(unavailable)?;
            let changed = self
                .change(id, |content, now| {
                    // Its tokens and names belong to another provider.
                    if self.renewal.is_foreign(&content.issuer) {
                        return Edit::End("another_issuer");
                    }
                    let can_ask = self.renewal.reachable_provider(&content.issuer, now).is_some();
                    claim(content, now, self.limits, can_ask.then_some(question))
                })
                .await?;
            let Some(changed) = changed else {
                return Ok(Outcome::Gone);
            };
            match changed.result {
                Claim::Ask => return self.ask_provider(id, changed).await,
                Claim::Rest => return Ok(self.outcome(changed.known)),
                Claim::Busy => match self.outcome(changed.known) {
                    Outcome::Current(known) if !self.lacks_id_token(&known) => {
                        return Ok(Outcome::Current(known));
                    }
                    Outcome::Gone => return Ok(Outcome::Gone),
                    Outcome::Current(_) | Outcome::Failed => sleep(CHECK_INTERVAL.0).await,
                },
            }
        }
        Ok(Outcome::Failed)
    }

    fn outcome(&self, known: Arc<SessionState>) -> Outcome {
        match known.validity(self.clock.now()) {
            Validity::Doubtful => Outcome::Failed,
            _ => Outcome::Current(known),
        }
    }

    async fn ask_provider(&self, id: RandomId, claimed: Changed<Claim>) -> Result<Outcome, Unavailable> {
        let content = claimed.content;
        let asked = self.clock.now();
        let issuer = &content.issuer;
        let (Some((registered, provider)), Some(token)) = (
            self.renewal.reachable_provider(issuer, asked),
            content.refresh_token(),
        ) else {
            return Ok(self.outcome(claimed.known));
        };
        let answer = provider.renew(&token, content.original()).await;
        self.metrics.renewal(match &answer {
            Ok(_) => "confirmed",
            Err(error) if error.is_end_of_session() => "ended",
            Err(_) => "unanswered",
        });
        match answer {
            Ok(renewed) => {
                self.renewal.pauses.record_answer(issuer);
                let reason = match attestation(&content, &renewed, registered) {
                    Ok(word) => return self.store(id, content.question, &renewed, word).await,
                    Err(reason) => reason,
                };
                let end = |_: &mut Content, _| Edit::End(reason);
                self.apply_answer(id, content.question, end).await
            }
            Err(error) if error.is_end_of_session() => {
                self.renewal.pauses.record_answer(issuer);
                let end = |_: &mut Content, _| Edit::End("provider_refused");
                self.apply_answer(id, content.question, end).await
            }
            Err(error) => {
                if error.concerns_all() {
                    self.renewal
                        .pauses
                        .record_silence(issuer, asked, self.clock.now());
                }
                tracing::warn!(session = ?id, %error, "a session could not be renewed; it stays valid for at most gateway.session.maxUnrefreshedMinutes after its last renewal");
                let later = POSTPONED + jitter(POSTPONED);
                let release = |content: &mut Content, now: i64| {
                    if error.is_definite() && now >= content.times(self.limits).doubtful {
                        return Edit::End("not_confirmed");
                    }
                    content.due = again(content, now, later, self.limits);
                    Edit::Write(())
                };
                self.apply_answer(id, content.question, release).await
            }
        }
    }

    /// Applies the answer to `question`, unless another replica asked meanwhile.
    async fn apply_answer(
        &self,
        id: RandomId,
        question: Option<RandomId>,
        mut step: impl FnMut(&mut Content, i64) -> Edit<()>,
    ) -> Result<Outcome, Unavailable> {
        let changed = self
            .change(id, |content, now| {
                if content.question != question {
                    return Edit::Leave(());
                }
                content.question = None;
                content.refreshing_until = 0;
                step(content, now)
            })
            .await?;
        Ok(changed.map_or(Outcome::Gone, |changed| self.outcome(changed.known)))
    }

    /// Stores the provider's answer. Retries for a while, because a refresh token may be valid for one use only.
    async fn store(
        &self,
        id: RandomId,
        question: Option<RandomId>,
        renewed: &Renewed,
        word: Attestation,
    ) -> Result<Outcome, Unavailable> {
        let store = |content: &mut Content, now: i64| {
            if let Some(token) = &renewed.refresh_token {
                content.replace_refresh_token(token);
            }
            if let Attestation::Groups(groups) = &word {
                content.groups.clone_from(groups);
            }
            if !matches!(word, Attestation::Unknown) {
                (content.refreshed, content.used) = (now, now);
            } else if now >= content.times(self.limits).doubtful {
                // A new login shows what is wrong with the answer.
                return Edit::End("not_confirmed");
            }
            content.due = again(content, now, renewed.renew_in, self.limits);
            if self.keeps_id_tokens {
                if let (Some(token), Attestation::Groups(_)) = (&renewed.id_token, &word) {
                    content.renew_id_token(token);
                }
                content.renew_before_id_token_ends(now);
            }
            Edit::Write(())
        };
        let began = Instant::now();
        let mut pause = STORE_AGAIN.0;
        loop {
            match self.apply_answer(id, question, store).await {
                Err(error) if began.elapsed() < STORE_FOR => {
                    tracing::warn!(session = ?id, %error, "a renewal could not be stored; it is tried again");
                }
                stored => return stored,
            }
            sleep(pause).await;
            pause = (pause * 2).min(STORE_AGAIN.1);
        }
    }
}
