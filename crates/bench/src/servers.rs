//! Rounds -> figures of gateway, webhook, portal and door, each beside a bare server (IO).

use anyhow::Context as _;

use crate::load::{Load, Round, Server, Transport, median};
use crate::page::{Figure, Target};

/// Most requests of a warm-up round.
const WARM_UP: u32 = 2_000;
/// Most that a decision costs, compared with a bare server.
const DECISION: Target = Target::Ratio(1.5);

/// Most that a review of a full template costs, compared with one of the plain template.
const FULL_REVIEW: Target = Target::Ratio(2.5);

/// The server that is measured, and a bare one.
struct Pair([Server; 2]);

impl Pair {
    /// `bytes`: of each answer of the bare server, alone or behind the door.
    fn start(name: &str, transport: Transport, bytes: usize) -> anyhow::Result<Self> {
        let ours = Server::start(name, transport, bytes)?;
        Ok(Self([ours, Server::start("bare", transport, bytes)?]))
    }

    /// Medians of both, which take turns, so that a machine that becomes slower slows both.
    fn measure(&self, case: &str, load: Load, status: u16, rounds: usize) -> anyhow::Result<[Round; 2]> {
        self.compare([case; 2], load, [status, 200], rounds)
    }

    /// The same with a case for each side: one of the first server's.
    fn compare(
        &self,
        cases: [&str; 2],
        load: Load,
        statuses: [u16; 2],
        rounds: usize,
    ) -> anyhow::Result<[Round; 2]> {
        let question = |case: &str| {
            let question = self.0[0].questions.get(case);
            question.with_context(|| format!("the server has no case {case}"))
        };
        let questions = [question(cases[0])?, question(cases[1])?];
        let warm_up = load.count(load.count.min(WARM_UP));
        let mut measured = [Vec::new(), Vec::new()];
        for number in 0..=rounds {
            let load = if number == 0 { warm_up } else { load };
            for (side, (question, status)) in questions.into_iter().zip(statuses).enumerate() {
                let round = self.0[side].round(question, load, status)?;
                if number > 0 {
                    measured[side].push(round);
                }
            }
        }
        eprintln!("{}: done", cases[0]);
        Ok(measured.map(|rounds| median(&rounds)))
    }
}

/// `/verify`, saturated and at 2,000 requests a second.
pub(crate) fn gateway(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let plain = Pair::start("gateway", Transport::Plain, 0)?;
    let tls = Pair::start("gateway", Transport::Http2, 0)?;
    let [one, all] = [Load::saturated(64, 1), Load::saturated(4, 16)];
    let mut figures = Vec::new();
    for (name, pair, case, status, load) in [
        ("HTTP/1.1", &plain, "valid", 200, one.count(60_000)),
        ("HTTP/2 with TLS", &tls, "valid", 200, all.count(60_000)),
        ("the same without a ticket", &tls, "none", 302, all.count(20_000)),
        (
            "the same, a forged ticket",
            &tls,
            "forged",
            401,
            all.count(20_000),
        ),
        ("the same, an ended ticket", &tls, "ended", 401, all.count(20_000)),
    ] {
        let both = pair.measure(case, load, status, rounds)?;
        let cpu = Figure::new(format!("{name}: CPU, µs"), both.map(|round| round.cpu));
        figures.push(cpu.within(DECISION));
    }
    let steady = Load::saturated(4, 100).count(6_000).rate(500);
    let both = tls.measure("valid", steady, 200, rounds)?;
    let cpu = Figure::new(
        "HTTP/2 with TLS, 2,000 a second: CPU, µs",
        both.map(|round| round.cpu),
    );
    figures.push(cpu.within(DECISION));
    figures.push(Figure::new("the same: p50, ms", both.map(|round| round.p50)));
    let p99 = Figure::new("the same: p99, ms", both.map(|round| round.p99));
    figures.push(p99.within(Target::AtMost(1.0)));
    Ok(figures)
}

/// Reviews, saturated and at 500 a second; and those of a full template beside those of the plain one.
pub(crate) fn webhook(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let pair = Pair::start("webhook", Transport::Tls, 150)?;
    let load = Load::saturated(25, 1);
    let mut figures = Vec::new();
    for (name, case) in [
        ("`/mutate` of a creation", "mutate"),
        ("`/validate` of a creation", "validate"),
        ("`/validate`, refused with 25 violations", "refused"),
    ] {
        let both = pair.measure(case, load.count(6_000), 200, rounds)?;
        figures.push(Figure::new(
            format!("{name}: CPU, µs"),
            both.map(|round| round.cpu),
        ));
        let both = pair.measure(case, load.count(3_000).rate(20), 200, rounds)?;
        figures.push(Figure::new(
            "the same, 500 a second: p50, ms",
            both.map(|round| round.p50),
        ));
        let p99 = Figure::new("the same, 500 a second: p99, ms", both.map(|round| round.p99));
        figures.push(p99.within(Target::AtMost(5.0)));
    }
    let both = || Server::start("webhook", Transport::Tls, 0);
    let pair = Pair([both()?, both()?]);
    for (name, cases) in [
        ("`/mutate`", ["mutate-full", "mutate"]),
        ("`/validate`", ["validate-full", "validate"]),
    ] {
        let both = pair.compare(cases, load.count(6_000), [200; 2], rounds)?;
        let cpu = Figure::new(
            format!("{name}, full template beside the plain one: CPU, µs"),
            both.map(|round| round.cpu),
        );
        figures.push(cpu.within(FULL_REVIEW));
    }
    Ok(figures)
}

/// Lists, 25 a second: a user may ask for 600 a minute.
pub(crate) fn portal(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let load = Load::saturated(1, 1).count(75).rate(25);
    let mut figures = Vec::new();
    for (name, case, bytes) in [
        ("list of an owner of 3", "owner", 9_000),
        ("list of an administrator of all", "administrator", 93_000),
    ] {
        let pair = Pair::start("portal", Transport::Tls, bytes)?;
        let both = pair.measure(case, load, 200, rounds)?;
        figures.push(Figure::new(
            format!("{name}: p50, ms"),
            both.map(|round| round.p50),
        ));
        let p99 = Figure::new("the same: p99, ms", both.map(|round| round.p99));
        figures.push(p99.within(Target::AtMost(30.0)));
        figures.push(Figure::new("the same: CPU, µs", both.map(|round| round.cpu)));
    }
    Ok(figures)
}

/// Requests with an assertion. Door and application share a processor, as in a pod that has one.
pub(crate) fn door(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let measure =
        |bytes, load| Pair::start("door", Transport::Plain, bytes)?.measure("attested", load, 200, rounds);
    let both = measure(0, Load::saturated(1, 1).count(5_000))?;
    let p50 = Figure::new("one at a time: p50, ms", both.map(|round| round.p50));
    let p99 = Figure::new("the same: p99, ms", both.map(|round| round.p99));
    let mut figures = vec![p50.within(Target::More(0.3)), p99];
    for (name, bytes, load) in [
        ("64 at a time", 0, Load::saturated(64, 1).count(20_000)),
        (
            "answers of 1 MiB, 4 at a time",
            1 << 20,
            Load::saturated(4, 1).count(1_000),
        ),
    ] {
        let both = measure(bytes, load)?;
        let rate = Figure::new(format!("{name}: a second"), both.map(|round| round.rate));
        figures.push(rate.within(Target::RatioAtLeast(0.9)));
        let cpu = both.map(|round| round.cpu);
        figures.push(Figure::new("the same: CPU of door and of application, µs", cpu));
    }
    Ok(figures)
}
