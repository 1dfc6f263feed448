//! Explanation -> text (pure).

use explain::access::{AccessExplanation, Rule};
use explain::{Cause, Explanation, Remedy, Unread, Who};

use crate::console::plain;

/// Each finding with what shows it and what to do.
pub(super) fn explanation(explanation: &Explanation) -> String {
    let mut text = String::new();
    for finding in &explanation.findings {
        let reason = finding.reason.iter().map(|reason| format!(" [{reason}]"));
        let reason: String = reason.collect();
        line(&mut text, &format!("{}{reason}", finding.what));
        causes(&mut text, "  because ", &finding.because);
        remedies(&mut text, &finding.remedies);
    }
    unread(&mut text, &explanation.unread);
    text
}

/// The decision, then each rule.
pub(super) fn access(explanation: &AccessExplanation) -> String {
    let mut text = String::new();
    line(
        &mut text,
        &format!("{} (user {:?})", explanation.what, explanation.user),
    );
    for Rule { rule, holds, because } in &explanation.rules {
        let holds = match holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        line(&mut text, &format!("  {rule}: {holds}"));
        causes(&mut text, "    because ", because);
    }
    remedies(&mut text, &explanation.remedies);
    unread(&mut text, &explanation.unread);
    text
}

fn line(text: &mut String, content: &str) {
    text.push_str(plain(content).trim_end());
    text.push('\n');
}

fn causes(text: &mut String, begin: &str, causes: &[Cause]) {
    for Cause {
        object,
        field,
        value,
        time,
    } in causes
    {
        let time = time.as_ref().map(|time| format!(" ({time})")).unwrap_or_default();
        line(text, &format!("{begin}{object}, {field}: {value}{time}"));
    }
}

fn remedies(text: &mut String, remedies: &[Remedy]) {
    for Remedy { who, what, steps } in remedies {
        let who = match who {
            Who::User => "the user can",
            Who::Owner => "the owner can",
            Who::Administrator => "an administrator can",
        };
        line(text, &format!("  {who}: {what}"));
        let mut commands: Vec<_> = steps.iter().map(|step| &step.command).collect();
        commands.dedup();
        for command in commands {
            line(text, &format!("    {command}"));
        }
    }
}

fn unread(text: &mut String, unread: &[Unread]) {
    for Unread { what, why } in unread {
        line(
            text,
            &format!("Not read, so causes may be missing: {what}: {why}"),
        );
    }
}
