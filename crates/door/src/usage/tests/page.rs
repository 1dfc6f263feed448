//! Recorded traces, rules of others and ours -> the table of docs/evidence/idle.md (IO).
//!
//! `UPDATE_EXPECT=1` writes it.

use std::fmt::Write as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rules::usage::{Uses, last};

use super::others::RULES;
use super::trace::{Trace, What};
use super::{LATE_OR_NONE, SAVED, Usage, sorted_events};

/// Of each rule, in minutes.
const TIMEOUT: f64 = 60.0;
/// The built-in time of an open page, in minutes.
const OPEN_TAB: i32 = 240;
/// Minutes of a day, after which nothing is of interest.
const DAY: f64 = 1440.0;
/// Traces in which use goes on, and until when, in minutes; then the page is closed. In the others it ends with the last act, and an open
/// page stays open.
const GO_ON: [(&str, f64); 4] = [
    ("lab-reading", 180.0),
    ("lab-computing", 480.0),
    ("lab-printing", 480.0),
    ("code-printing", 480.0),
];

/// `recorded`: how many recordings there are.
fn head(recorded: usize) -> String {
    format!(
        "\
# Idle rules over recorded use

For evaluators: when rules for idle workspaces stop one. They are applied to [traces](../../crates/door/src/usage/traces) of what a headless
browser did in the JupyterLab and the VS Code of our images. Every rule has a timeout of 60 minutes, whatever its product sets. Ours counts
an open page for 240 minutes after the last act, as built in.

A recording has about eleven minutes. Its last three minutes are repeated: for a day, or until use ends. How often a product looks is left
out. The table says nothing beyond these traces: no other extension, proxy, setting or version. VS Code's language server is that of
TypeScript: the image has none for Python. Debugging is recorded in JupyterLab alone: there is no trace of it in VS Code.

A test compares the last act that the door sees with the last key, click or movement of the wheel. In {} of {recorded} recordings it is in
that minute or up to {SAVED} minutes later: JupyterLab saves so late what was typed. So ours may stop {SAVED} minutes late. In the others:

{OTHERWISE}
",
        recorded - LATE_OR_NONE.len()
    )
}

const OTHERWISE: &str = "\
- `code-printing`: the page answers what the terminal prints, which acts as long as it prints.
- `lab-asleep`: JupyterLab saves once more when the laptop wakes, which acts. The stop is 8 minutes late.
- `lab-reading`: scrolling is no act. The open page alone counts.";

const FOOT: &str = "\
Use ends when somebody last typed, clicked or scrolled, when a program ends, or, of the reader, when the page is closed. A stop before that
is **in use**. A number after + says for how many minutes more than its use and the timeout a workspace was kept, if more than two. *A day*:
it was up until the end.

| rule | what counts as use, and the source |
|---|---|
";

/// When use ends, in minutes.
fn end_of_use(trace: &Trace) -> f64 {
    let goes_on = GO_ON.iter().find(|(name, _)| *name == trace.name);
    goes_on.map_or(trace.acted / 60.0, |(_, until)| *until)
}

/// The minute at which a rule stops that sees use at these seconds.
fn stop(mut uses: Vec<f64>) -> f64 {
    uses.sort_by(f64::total_cmp);
    let mut last = 0.0;
    for at in uses {
        if at / 60.0 > last + TIMEOUT {
            break;
        }
        last = at / 60.0;
    }
    last + TIMEOUT
}

/// The minute at which ours stops, with every signal that the operator reads.
fn our_stop(trace: &Trace) -> f64 {
    let start = Timestamp::UNIX_EPOCH;
    let time = |seconds: f64| start + SignedDuration::from_secs_f64(seconds);
    let mut known = Uses::default();
    let mut sorted = sorted_events(trace).into_iter().peekable();
    let mut told = trace.events.iter().peekable();
    let mut now = 0.0;
    loop {
        now += 60.0;
        while let Some((at, usage)) = sorted.next_if(|(at, _)| *at <= now) {
            known.presence = Some(time(at));
            if usage == Usage::User {
                known.user = Some(time(at));
            }
        }
        while let Some(event) = told.next_if(|event| event.at <= now) {
            if let What::Told(state) = &event.what {
                let kernels = state.kernels.iter().flatten();
                let kernels = kernels.map(|&(idle, last)| if idle { last } else { event.at });
                let work = kernels
                    .chain(state.terminals.iter().copied())
                    .max_by(f64::total_cmp);
                known.work = work.map(time).max(known.work);
            }
        }
        let last = last(start, &known, OPEN_TAB).at;
        let idle = time(now).duration_since(last).as_secs_f64();
        if idle >= TIMEOUT * 60.0 || now > 2.0 * DAY * 60.0 {
            return (now - idle) / 60.0 + TIMEOUT;
        }
    }
}

fn cell(stop: f64, end_of_use: f64) -> String {
    let late = stop - end_of_use - TIMEOUT;
    if stop >= DAY {
        "*a day*".to_owned()
    } else if stop < end_of_use {
        format!("**in use** {stop:.0}")
    } else if late > 2.0 {
        format!("{stop:.0} (+{late:.0})")
    } else {
        format!("{stop:.0}")
    }
}

fn page() -> String {
    let recorded: Vec<_> = Trace::all()
        .into_iter()
        .filter(|trace| trace.recorded.is_some())
        .collect();
    let mut text = head(recorded.len());
    let names = RULES.iter().map(|rule| rule.name).chain(["ours"]);
    let names: Vec<_> = names.collect();
    let _ = writeln!(
        text,
        "\nThe minute of the stop:\n\n| trace | use ends | {} |",
        names.join(" | ")
    );
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(names.len()));
    let (mut in_use, mut kept) = (vec![0; names.len()], vec![0; names.len()]);
    for trace in recorded {
        let ends = end_of_use(&trace);
        let is_asleep = trace.name.ends_with("-asleep");
        let lasts = match GO_ON.iter().find(|(name, _)| *name == trace.name) {
            Some((_, until)) => *until,
            None if is_asleep => trace.end() / 60.0,
            None => DAY,
        };
        let _ = write!(text, "| `{}`: {} | {ends:.0} |", trace.name, trace.about);
        let trace = trace.lasting(lasts * 60.0);
        let stops = RULES.iter().map(|rule| stop((rule.uses)(&trace)));
        for (rule, stop) in stops.chain([our_stop(&trace)]).enumerate() {
            let cell = cell(stop, ends);
            in_use[rule] += u32::from(cell.starts_with("**"));
            kept[rule] += u32::from(cell.ends_with(')') || cell.starts_with("*a"));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    for (what, counts) in [("stopped in use", &in_use), ("kept for nothing", &kept)] {
        let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "| {what} | | {} |", counts.join(" | "));
    }
    let _ = write!(text, "\n{FOOT}");
    for rule in &RULES {
        let _ = writeln!(text, "| {} | {} |", rule.name, rule.about);
    }
    let _ = writeln!(
        text,
        "| ours | acts and open pages as the door sorts them, busy kernels, and the last activity of kernels and terminals \
         ([using.md](../using.md#idle-workspaces)) |"
    );
    text
}

#[test]
fn rules_of_others_and_ours_over_the_recorded_traces_are_as_the_page_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence/idle.md");
    let text = page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected, "UPDATE_EXPECT=1 writes {}", file.display());
}
