//! a session in use -> whether the provider still vouches for it, and the groups that it says now (IO, in the background).
//!
//! One replica asks at a time: it first writes `refreshingUntil` on top of the state that it read, and whoever loses that
//! write reads again. Providers that hand out a refresh token for one use only would end the session otherwise.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::change::{Changed, Step};
use super::content::{Content, Limits};
use super::view::{Known, Standing};
use super::{Session, Sessions, Unavailable};
use crate::crypto::random::random;
use crate::crypto::tokens::RandomId;
use crate::oidc::claims::Mapping;
use crate::oidc::{Provider, Refused, RenewalError, Renewed};

/// Sessions that wait to be looked after; more are left for their next use.
const QUEUE: usize = 4096;
/// Most that are looked after at a time.
const AT_ONCE: usize = 16;
/// For how long one replica keeps others from asking, in seconds: longer than a question and the writes after it take.
const CLAIM: i64 = 30;
/// How long a request waits for a session that nobody vouched for for long.
const REVIVAL: Duration = Duration::from_secs(3);
/// How long an outcome is remembered.
const REMEMBERED: Duration = Duration::from_secs(2);
/// Longest pause after the provider did not answer, in seconds, before jitter.
const LONGEST_PAUSE: i64 = 60;
/// A session that could not be renewed is left alone for this long, in seconds, before jitter.
const LATER: i64 = 30;
/// How often another replica's result is looked for, and how many times.
const LOOK: (Duration, usize) = (Duration::from_millis(250), 12);
/// Pauses between attempts to store what the provider gave: without it the session may be lost.
const STORE_AGAIN: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// What looking after a session came to.
#[derive(Clone)]
enum Outcome {
    /// What is known of it by now.
    Known(Arc<Known>),
    /// It is gone.
    Gone,
    /// Nobody could be asked.
    Failed,
}

/// Who is asked, who waits, and for how long nobody asks.
pub(super) struct Renewal {
    provider: Option<(Arc<OnceLock<Provider>>, Mapping)>,
    wanted: mpsc::Sender<RandomId>,
    queue: Mutex<Option<mpsc::Receiver<RandomId>>>,
    outcomes: moka::future::Cache<RandomId, Outcome>,
    pause: Mutex<Pause>,
}

/// After the provider did not answer.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: i64,
}

impl Default for Renewal {
    fn default() -> Self {
        let (wanted, queue) = mpsc::channel(QUEUE);
        let outcomes = moka::future::Cache::builder()
            .max_capacity(super::REMEMBERED)
            .time_to_live(REMEMBERED)
            .build();
        Self {
            provider: None,
            wanted,
            queue: Mutex::new(Some(queue)),
            outcomes,
            pause: Mutex::default(),
        }
    }
}

impl Renewal {
    pub(super) fn by(&mut self, provider: Arc<OnceLock<Provider>>, mapping: Mapping) {
        self.provider = Some((provider, mapping));
    }

    /// Has a session looked after. When too many wait, its next use does.
    pub(super) fn want(&self, id: RandomId) {
        let _ = self.wanted.try_send(id);
    }

    pub(super) async fn forget(&self, id: RandomId) {
        self.outcomes.invalidate(&id).await;
    }

    /// The provider, if it can be asked at `now`.
    fn provider(&self, now: i64) -> Option<(&Provider, &Mapping)> {
        let (provider, mapping) = self.provider.as_ref()?;
        (now >= self.pause().until).then_some((provider.get()?, mapping))
    }

    fn pause(&self) -> std::sync::MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        *self.pause() = Pause::default();
    }

    /// The provider did not answer a question of the time `asked`. Those that were asked together count once.
    fn unanswered(&self, asked: i64, now: i64) {
        let mut pause = self.pause();
        if asked >= pause.until {
            pause.failures += 1;
            let length = LONGEST_PAUSE.min(1 << pause.failures.min(6));
            pause.until = now + length + jitter(length);
        }
    }
}

/// Up to as many seconds again, so that replicas do not ask together.
fn jitter(seconds: i64) -> i64 {
    random::<2>().map_or(0, |bytes| i64::from(u16::from_be_bytes(bytes)) % (seconds + 1))
}

/// What to do about a session.
enum Claim {
    /// Ask the provider: nobody else does.
    Ask,
    /// Another replica asks.
    Busy,
    /// Nothing, or nothing more.
    Rest,
}

/// Decides, and changes `content` accordingly. `can_ask`: the provider may be asked.
fn claim(content: &mut Content, now: i64, limits: Limits, can_ask: bool) -> Step<Claim> {
    let times = content.times(limits);
    if now >= times.over {
        return Step::Leave(Claim::Rest);
    }
    let due = now >= content.due || now >= times.doubtful;
    if can_ask && due && content.refresh_token().is_some() {
        if now < content.refreshing_until {
            return Step::Leave(Claim::Busy);
        }
        content.used = now;
        content.refreshing_until = now + CLAIM;
        return Step::Write(Claim::Ask);
    }
    if now >= content.used + limits.note_after() {
        content.used = now;
        return Step::Write(Claim::Rest);
    }
    Step::Leave(Claim::Rest)
}

impl Sessions {
    /// Looks after sessions as they are used, until `stop`; then finishes what it began.
    pub async fn maintain(&self, stop: CancellationToken) {
        let queue = self
            .renewal
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut queue) = queue else { return };
        let mut under_way = HashSet::new();
        let mut work = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(id) = queue.recv(), if work.len() < AT_ONCE => {
                    if under_way.insert(id) {
                        work.push(async move { self.look_after(id).await; id });
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

    /// Waits a short while for a session that the provider must vouch for first.
    pub(super) async fn revived(&self, id: RandomId) -> Result<Option<Arc<Session>>, Unavailable> {
        let mut changes = self.changes.subscribe();
        let mut wanted = false;
        let revived = async {
            loop {
                let standing = match self.renewal.outcomes.get(&id).await {
                    Some(Outcome::Known(known)) => Some(known.standing(self.clock.now())),
                    Some(Outcome::Gone) => Some(Standing::Over),
                    Some(Outcome::Failed) => {
                        return Err(Unavailable("the identity provider did not vouch".into()));
                    }
                    None => None,
                };
                match standing {
                    Some(Standing::Good(session)) => return Ok(Some(session)),
                    Some(Standing::Over | Standing::Unreadable) => return Ok(None),
                    Some(Standing::Doubtful) | None => {}
                }
                if !std::mem::replace(&mut wanted, true) {
                    self.renewal.want(id);
                }
                if changes.changed().await.is_err() {
                    return Ok(None);
                }
            }
        };
        timeout(REVIVAL, revived)
            .await
            .unwrap_or_else(|_| Err(Unavailable("the identity provider takes its time".into())))
    }

    async fn look_after(&self, id: RandomId) {
        let outcome = match self.renewed(id).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(session = ?id, %error, "a session could not be looked after");
                Outcome::Failed
            }
        };
        self.renewal.outcomes.insert(id, outcome).await;
        self.changed();
    }

    async fn renewed(&self, id: RandomId) -> Result<Outcome, Unavailable> {
        for _ in 0..LOOK.1 {
            let now = self.clock.now();
            let can_ask = self.renewal.provider(now).is_some();
            let changed = self
                .change(id, |content, now| claim(content, now, self.limits, can_ask))
                .await?;
            let Some(changed) = changed else {
                return Ok(Outcome::Gone);
            };
            match changed.result {
                Claim::Ask => return self.ask_provider(id, changed).await,
                Claim::Rest => return Ok(self.outcome(changed.known)),
                Claim::Busy => match self.outcome(changed.known) {
                    Outcome::Failed => sleep(LOOK.0).await,
                    good => return Ok(good),
                },
            }
        }
        Ok(Outcome::Failed)
    }

    fn outcome(&self, known: Arc<Known>) -> Outcome {
        match known.standing(self.clock.now()) {
            Standing::Doubtful => Outcome::Failed,
            _ => Outcome::Known(known),
        }
    }

    async fn ask_provider(&self, id: RandomId, claimed: Changed<Claim>) -> Result<Outcome, Unavailable> {
        let content = claimed.content;
        let asked = self.clock.now();
        let (Some((provider, mapping)), Some(token)) =
            (self.renewal.provider(asked), content.refresh_token())
        else {
            return Ok(self.outcome(claimed.known));
        };
        let answer = provider.renew(&token, content.original()).await;
        match answer {
            Ok(renewed) => {
                self.renewal.answered();
                match judge(&content, &renewed, mapping) {
                    Some(word) => self.keep(id, &renewed, word).await,
                    None => self.drop_session(id, "another_person").await,
                }
            }
            Err(RenewalError::Ended) => {
                self.renewal.answered();
                self.drop_session(id, "provider_refused").await
            }
            Err(error) => {
                if matches!(error, RenewalError::Unavailable(_)) {
                    self.renewal.unanswered(asked, self.clock.now());
                }
                tracing::warn!(session = ?id, %error, "a session could not be renewed; it goes on for a while");
                let later = LATER + jitter(LATER);
                let released = self
                    .change(id, |content, now| {
                        content.refreshing_until = 0;
                        content.due = now + later;
                        Step::Write(())
                    })
                    .await?;
                Ok(released.map_or(Outcome::Gone, |changed| self.outcome(changed.known)))
            }
        }
    }

    /// Writes down what the provider said. Tries for a while: a refresh token may be good for one use only.
    async fn keep(&self, id: RandomId, renewed: &Renewed, word: Word) -> Result<Outcome, Unavailable> {
        let store = |content: &mut Content, now: i64| {
            if let Some(token) = &renewed.refresh_token {
                content.replace_refresh_token(token);
            }
            content.refreshing_until = 0;
            content.due = now + renewed.renew_in;
            match &word {
                Word::Groups(groups) => {
                    content.refreshed = now;
                    content.groups.clone_from(groups);
                }
                Word::AsBefore => content.refreshed = now,
                Word::Unknown => {}
            }
            Step::Write(())
        };
        let mut pauses = STORE_AGAIN.into_iter();
        loop {
            match self.change(id, store).await {
                Ok(Some(changed)) => return Ok(self.outcome(changed.known)),
                Ok(None) => return Ok(Outcome::Gone),
                Err(error) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(error),
                },
            }
        }
    }

    async fn drop_session(&self, id: RandomId, by: &'static str) -> Result<Outcome, Unavailable> {
        self.change(id, |_, _| Step::End::<()>(by)).await?;
        Ok(Outcome::Gone)
    }
}

/// What the provider says of a person now.
enum Word {
    /// These groups.
    Groups(Vec<String>),
    /// Nothing new.
    AsBefore,
    /// Something that cannot be used: unknown is not empty, and it is not vouching either.
    Unknown,
}

/// `None`: the session is somebody else's by now.
fn judge(content: &Content, renewed: &Renewed, mapping: &Mapping) -> Option<Word> {
    let claims = match &renewed.claims {
        Ok(Some(claims)) => claims,
        Ok(None) => return Some(Word::AsBefore),
        Err(Refused::Subject) => return None,
        Err(error) => {
            tracing::warn!(%error, "the ID token of a renewal is refused; the session goes on for a while");
            return Some(Word::Unknown);
        }
    };
    match mapping.identify(claims) {
        Ok(identity) => (identity.user_name == content.user_name).then_some(Word::Groups(identity.groups)),
        Err(error) => {
            tracing::warn!(%error, "the claims of a renewal cannot be used; the session goes on for a while");
            Some(Word::Unknown)
        }
    }
}
