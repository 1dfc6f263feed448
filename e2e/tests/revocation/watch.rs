//! User with an open workspace -> time until access ends, at each replica and the proxy (IO).

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{
    http::{HttpSession, replica::Replica, socket},
    wait,
};
use futures::{Stream, StreamExt as _};
use reqwest::{Method, StatusCode, Url};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message};

/// Interval between two requests at one place.
const PERIOD: Duration = Duration::from_millis(25);
/// How long the test checks that no refused user gets access again.
const AFTER: Duration = Duration::from_millis(1_500);

/// The answers at a place so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Inside,
    Refused,
}

/// One answer: when its request was sent, and its status. A request that is on its way to a pod that goes may wait for seconds.
type Answer = (Instant, StatusCode);

/// A user who sends requests and holds a websocket open, at several places: through the proxy, and at each replica.
pub(crate) struct Watch {
    stop: watch::Sender<bool>,
    places: Vec<Place>,
}

struct Place {
    name: String,
    answers: JoinHandle<anyhow::Result<Vec<Answer>>>,
    seen: watch::Receiver<Seen>,
    closed: JoinHandle<(u16, Instant)>,
}

/// The measurements at one place, since the end of the permission.
#[derive(Debug)]
struct Measured {
    place: String,
    /// Time until the first request was sent that was refused, and after which none was admitted.
    refused: Duration,
    /// The answers from then on, in this order, without repetitions (but of 502).
    by: Vec<StatusCode>,
    closed: Duration,
    code: u16,
}

/// One way to end a permission.
#[derive(Debug)]
pub(crate) struct Row(Vec<Measured>);

/// The expected answers after the end of a permission.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// To requests, in this order. All but the last may be missing.
    pub(crate) answers: &'static [StatusCode],
    /// To websockets: a code of their close frame; 0: closed without one.
    pub(crate) codes: &'static [u16],
    /// Maximum time for requests, and then for websockets.
    pub(crate) within: (Duration, Duration),
}

impl Expected {
    fn allows(&self, answers: &[StatusCode]) -> bool {
        let mut left = self.answers.iter();
        let in_order = answers.iter().all(|answer| left.any(|allowed| allowed == answer));
        in_order && answers.last() == self.answers.last()
    }
}

/// A user's requests; sends the answers until `stopped`.
async fn send_requests<F: Future<Output = anyhow::Result<StatusCode>>>(
    mut ask: impl FnMut() -> F,
    mut stopped: watch::Receiver<bool>,
    state: watch::Sender<Seen>,
) -> anyhow::Result<Vec<Answer>> {
    let (mut ticks, mut answers) = (interval(PERIOD), Vec::new());
    while !*stopped.borrow_and_update() {
        ticks.tick().await;
        let sent = Instant::now();
        let status = ask().await?;
        answers.push((sent, status));
        send_state(&state, status);
    }
    Ok(answers)
}

fn send_state(state: &watch::Sender<Seen>, status: StatusCode) {
    if is_refusal(status) {
        state.send_replace(Seen::Refused);
    } else if status.is_success() {
        state.send_replace(Seen::Inside);
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Waits for the close frame of a socket, and returns its time. Code 0: closed without one.
async fn closed<S>(mut socket: S) -> (u16, Instant)
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            let code = frame.map_or(0, |frame| frame.code.into());
            return (code, Instant::now());
        }
    }
    (0, Instant::now())
}

impl Watch {
    /// Starts to watch `session`, which has access everywhere.
    pub(crate) async fn begin(session: &HttpSession, url: &str) -> anyhow::Result<Self> {
        let replicas = Replica::all().await?;
        ensure!(replicas.len() == 2, "{} replicas are ready", replicas.len());
        let (stop, _) = watch::channel(false);
        let cookies = session.cookies(url)?;
        let mut places = vec![Place::proxy(session, url, &stop).await?];
        for (number, replica) in replicas.into_iter().enumerate() {
            let name = format!("replica {}", number + 1);
            places.push(Place::replica(name, replica, url, &cookies, &stop).await?);
        }
        for place in &mut places {
            let inside = place.seen.wait_for(|seen| *seen == Seen::Inside);
            let inside = timeout(wait::USUAL, inside).await;
            drop(inside.with_context(|| format!("not inside at {}", place.name))??);
        }
        Ok(Self { stop, places })
    }

    /// The permission ended at `end`: waits until every place refuses and has closed its websocket.
    pub(crate) async fn end(self, end: Instant) -> anyhow::Result<Row> {
        let mut sockets = Vec::new();
        for place in self.places {
            let Place {
                name,
                answers,
                mut seen,
                closed,
            } = place;
            let both = async {
                seen.wait_for(|seen| *seen == Seen::Refused).await?;
                anyhow::Ok(closed.await?)
            };
            let closed = timeout(wait::USUAL, both)
                .await
                .with_context(|| format!("{name}: access did not end"))?
                .with_context(|| name.clone())?;
            sockets.push((name, closed, answers));
        }
        sleep(AFTER).await;
        self.stop.send_replace(true);
        let mut row = Vec::new();
        for (place, (code, closed), answers) in sockets {
            let answers = answers.await?.with_context(|| place.clone())?;
            let since = |at: Instant| at.saturating_duration_since(end);
            let before = answers
                .first()
                .is_some_and(|(_, status)| *status == StatusCode::OK);
            ensure!(before, "{place}: not inside from the beginning");
            let last_inside = answers.iter().rposition(|(_, status)| status.is_success());
            let outside = &answers[last_inside.unwrap_or_default() + 1..];
            let (refused, _) = *outside.first().context("no refusal")?;
            let mut by: Vec<_> = outside.iter().map(|(_, status)| *status).collect();
            // A request may be lost with the pod once: others would have been admitted later.
            by.dedup_by(|one, before| one == before && *one != StatusCode::BAD_GATEWAY);
            row.push(Measured {
                place,
                refused: since(refused),
                by,
                closed: since(closed),
                code,
            });
        }
        Ok(Row(row))
    }
}

impl Place {
    async fn proxy(session: &HttpSession, url: &str, stop: &watch::Sender<bool>) -> anyhow::Result<Self> {
        let target = format!("{}ws", url.replacen("https", "wss", 1));
        let origin = Url::parse(url)?.origin().ascii_serialization();
        let mut socket = socket::connect(&target, &session.cookies(url)?, Some(&origin))
            .await?
            .map_err(|status| anyhow::anyhow!("no websocket: {status}"))?;
        // What the application says first.
        socket.next().await.transpose()?;
        let (state, seen) = watch::channel(Seen::Nothing);
        let (session, url) = (session.clone(), format!("{url}alive"));
        let ask = move || {
            let request = session
                .request(Method::GET, &url)
                .header("Sec-Fetch-Site", "same-origin");
            async move { Ok(request.send().await?.status()) }
        };
        Ok(Self {
            name: "proxy".to_owned(),
            answers: tokio::spawn(send_requests(ask, stop.subscribe(), state)),
            seen,
            closed: tokio::spawn(closed(socket)),
        })
    }

    async fn replica(
        name: String,
        replica: Replica,
        url: &str,
        cookies: &str,
        stop: &watch::Sender<bool>,
    ) -> anyhow::Result<Self> {
        let mut socket = replica
            .socket(url, cookies)
            .await?
            .map_err(|status| anyhow::anyhow!("no websocket at {name}: {status}"))?;
        socket.next().await.transpose()?;
        let (state, seen) = watch::channel(Seen::Nothing);
        let mut stopped = stop.subscribe();
        let mut questions = replica.questions().await?;
        let (url, cookies) = (url.to_owned(), cookies.to_owned());
        let answers = tokio::spawn(async move {
            let (mut ticks, mut answers) = (interval(PERIOD), Vec::new());
            while !*stopped.borrow_and_update() {
                ticks.tick().await;
                let sent = Instant::now();
                // Connections end after half a minute.
                let Ok(status) = questions.verify(&url, "alive", &cookies).await else {
                    questions = replica.questions().await?;
                    continue;
                };
                answers.push((sent, status));
                send_state(&state, status);
            }
            Ok(answers)
        });
        Ok(Self {
            name,
            answers,
            seen,
            closed: tokio::spawn(closed(socket)),
        })
    }
}

impl Row {
    pub(crate) fn head() -> String {
        format!(
            "{:<28} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}",
            "until refused / closed, ms",
            "proxy",
            "replica 1",
            "replica 2",
            "proxy",
            "replica 1",
            "replica 2"
        )
    }

    /// Milliseconds at each place: until requests are refused, then until websockets are closed.
    pub(crate) fn line(&self, what: &str) -> String {
        let column = |ms: &dyn Fn(&Measured) -> u128| -> String {
            let each: Vec<_> = self.0.iter().map(|one| format!("{:>9}", ms(one))).collect();
            each.join(" ")
        };
        let refused = column(&|one| one.refused.as_millis());
        let closed = column(&|one| one.closed.as_millis());
        format!("{what:<28} {refused}   {closed}")
    }

    /// Whether every place answered as expected, and in time.
    pub(crate) fn check(&self, what: &str, expected: Expected) -> anyhow::Result<()> {
        let (requests, sockets) = expected.within;
        for one in &self.0 {
            let place = &one.place;
            ensure!(one.refused < requests, "{what}, {place}: too late: {one:?}");
            ensure!(one.closed < sockets, "{what}, {place}: closed too late: {one:?}");
            let (answers, codes) = (expected.answers, expected.codes);
            ensure!(
                expected.allows(&one.by),
                "{what}, {place}: {one:?}, where {answers:?} is to be answered"
            );
            ensure!(
                codes.contains(&one.code),
                "{what}, {place}: {one:?}, where the websocket is to be closed by one of {codes:?}"
            );
        }
        Ok(())
    }
}
