//! A plan -> open lists that are asked for again when they end, as browsers do, and changes that show on them (IO).
//!
//! Standard output says `open` some time after every list was sent, `idle` after the time without changes, `changed` after the last change.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kit::assertion::{LIFE, Signer};
use kube::Client;
use serde::Deserialize;
use tokio::task::LocalSet;
use tokio::time::{interval, sleep, timeout};

use crate::changes::{MARK, change, mark};
use crate::user::{User, client, signer};

/// How soon a browser asks again, as the portal tells it.
const RETRY: Duration = Duration::from_millis(250);
/// Until the portal's answers about rights have the ages that they have on any day: it keeps them for 30 s.
const SETTLE: Duration = Duration::from_secs(35);
/// After the last change: a list may be between two streams.
const REST: Duration = Duration::from_secs(3);
/// Lists that are not there after this never will be.
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Kubeconfig of a client of the portal.
    server: PathBuf,
    /// Kubeconfig of a client of the API server that may write statuses.
    api_server: PathBuf,
    /// Each has one list open.
    people: Vec<User>,
    /// Namespace and name of what is changed, in turns; each is on a list.
    shown: Vec<(String, String)>,
    /// If there are any, every other change is of one of these, which are on no page that is open.
    others: Vec<(String, String)>,
    /// Of the marks: no other time on a list has it.
    year: u16,
    /// Changes per second.
    rate: u32,
    /// Seconds without changes, and seconds with changes.
    seconds: [u64; 2],
    /// Where the lines go.
    log: PathBuf,
}

/// What all lists have in common.
struct Shared {
    client: Client,
    signer: Signer,
    begin: Instant,
    /// What a mark begins with.
    year: String,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Lists that were sent once.
    open: usize,
    /// When a change was sent to the API server, by its mark.
    sent: BTreeMap<String, Instant>,
    /// Change and time until it was on a list.
    sightings: Vec<(Instant, Duration)>,
    /// Changes that were on a list.
    found: BTreeSet<String>,
    failed: Option<anyhow::Error>,
}

pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let shared = Rc::new(Shared {
        client: client(&plan.server).await?,
        signer: signer()?,
        begin: Instant::now(),
        year: format!("{}-", plan.year),
        seen: RefCell::default(),
    });
    let local = LocalSet::new();
    let count = plan.people.len();
    for (number, user) in plan.people.iter().cloned().enumerate() {
        let shared = shared.clone();
        // The first streams end one after the other, as those of people do who came at different times.
        let first = i64::try_from(number)? * LIFE / i64::try_from(count)? + 5;
        local.spawn_local(async move {
            if let Err(error) = follow(&shared, &user, first).await {
                shared.seen.borrow_mut().failed = Some(error);
            }
        });
    }
    local.run_until(course(&plan, &shared)).await?;
    let seen = shared.seen.borrow();
    let mut lines = String::new();
    for (sent, took) in &seen.sightings {
        let due = sent.duration_since(shared.begin).as_micros();
        writeln!(lines, "{due}\t200\t{}", took.as_micros())?;
    }
    // What was on no list counts with the time until now.
    for (_, sent) in seen.sent.iter().filter(|(mark, _)| !seen.found.contains(*mark)) {
        let due = sent.duration_since(shared.begin).as_micros();
        writeln!(lines, "{due}\t504\t{}", sent.elapsed().as_micros())?;
    }
    fs::write(&plan.log, lines).with_context(|| plan.log.display().to_string())
}

async fn course(plan: &Plan, shared: &Shared) -> anyhow::Result<()> {
    let opened = async {
        while shared.seen.borrow().open < plan.people.len() && shared.seen.borrow().failed.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, opened).await.context("not all lists were sent")?;
    sleep(SETTLE).await;
    println!("open");
    let [idle, changes] = plan.seconds;
    sleep(Duration::from_secs(idle)).await;
    println!("idle");
    let writer = client(&plan.api_server).await?;
    let mut ticks = interval(Duration::from_secs(1) / plan.rate);
    let all = usize::try_from(changes)? * usize::try_from(plan.rate)?;
    let (mut shown, mut others) = (plan.shown.iter().cycle(), plan.others.iter().cycle());
    for number in 0..all {
        ticks.tick().await;
        let mark = mark(plan.year, number);
        let other = others.next().filter(|_| number % 2 == 1);
        if other.is_none() {
            shared.seen.borrow_mut().sent.insert(mark.clone(), Instant::now());
        }
        let workspace = other.or_else(|| shown.next()).context("nothing to change")?;
        change(&writer, workspace, number, &mark).await?;
    }
    println!("changed");
    sleep(REST).await;
    let mut seen = shared.seen.borrow_mut();
    if let Some(error) = seen.failed.take() {
        bail!(error.context("a list failed"));
    }
    Ok(())
}

/// Keeps one list open.
async fn follow(shared: &Shared, user: &User, first: i64) -> anyhow::Result<()> {
    let mut life = first;
    let mut is_open = false;
    // What this list showed already.
    let mut known = BTreeSet::new();
    loop {
        let asked = Timestamp::now();
        let answer = shared.client.send(user.request(&shared.signer, life)?).await?;
        ensure!(answer.status() == 200, "a stream is answered {}", answer.status());
        let mut body = answer.into_body();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if !is_open {
                is_open = true;
                shared.seen.borrow_mut().open += 1;
            }
            text.push_str(&String::from_utf8_lossy(&data));
            look(shared, &text, &mut known);
            // A mark may be in two frames.
            let mut rest = text.len().saturating_sub(MARK.len() - 1);
            while !text.is_char_boundary(rest) {
                rest += 1;
            }
            text.drain(..rest);
        }
        ensure!(
            Timestamp::now().duration_since(asked).as_secs() >= life.min(LIFE) - 2,
            "a stream ended early"
        );
        life = LIFE;
        sleep(RETRY).await;
    }
}

/// Notes the changes that are on a list for the first time.
fn look(shared: &Shared, text: &str, known: &mut BTreeSet<String>) {
    let mut seen = shared.seen.borrow_mut();
    for (at, _) in text.match_indices(shared.year.as_str()) {
        let mark = text.get(at..at + MARK.len()).unwrap_or_default();
        if let Some(sent) = seen.sent.get(mark).copied().filter(|_| !known.contains(mark)) {
            seen.sightings.push((sent, sent.elapsed()));
            seen.found.insert(mark.to_owned());
            known.insert(mark.to_owned());
        }
    }
}
