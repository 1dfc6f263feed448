//! Type, status, reason -> a list of conditions that keeps the times of earlier ones (pure).
//!
//! `lastTransitionTime` changes only when a status flips, or where its caller begins it anew. Every condition carries the generation that it
//! was computed from.

use api::condition;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::support::text::brief;

/// Longest message, in bytes. The status contains it up to twice, and every client that caches the status stores it.
const MAX_MESSAGE: usize = 4096;

/// Collects the conditions of one status.
pub(crate) struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    list: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn new(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        // The API server keeps whole seconds.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            before,
            generation,
            now,
            list: Vec::new(),
        }
    }

    /// Adds the condition of this type.
    pub(crate) fn set(&mut self, type_: &str, holds: bool, reason: &str, message: &str) {
        let earlier = condition::find(self.before, type_);
        let same = earlier.filter(|earlier| earlier.status == status(holds));
        let since = same.map_or(Time(self.now), |earlier| earlier.last_transition_time.clone());
        self.push(type_, holds, reason, message, since);
    }

    /// Adds the condition of this type as one that began now, also if the earlier one has the same status.
    pub(crate) fn set_anew(&mut self, type_: &str, holds: bool, reason: &str, message: &str) {
        self.push(type_, holds, reason, message, Time(self.now));
    }

    fn push(&mut self, type_: &str, holds: bool, reason: &str, message: &str, since: Time) {
        self.list.push(Condition {
            type_: type_.to_owned(),
            status: status(holds).to_owned(),
            reason: reason.to_owned(),
            message: brief(message, MAX_MESSAGE),
            observed_generation: self.generation,
            last_transition_time: since,
        });
    }

    /// Adds the earlier conditions of these types.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        for earlier in self.before.iter().filter(|earlier| wanted(&earlier.type_)) {
            let holds = earlier.status == "True";
            self.set(&earlier.type_, holds, &earlier.reason, &earlier.message);
        }
    }

    pub(crate) fn finish(self) -> Vec<Condition> {
        self.list
    }
}

fn status(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn set(before: &[Condition], now: i64, holds: bool, message: &str) -> Vec<Condition> {
        let mut conditions = Conditions::new(before, Some(now), at(now));
        conditions.set("Valid", holds, "Because", message);
        conditions.finish()
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let message = &set(&[], 1, false, &"ä".repeat(5000))[0].message;
        assert!(
            message.ends_with("ä…") && message.len() <= MAX_MESSAGE,
            "{}",
            message.len()
        );
        assert_eq!(set(&[], 1, false, "short")[0].message, "short");
    }

    #[test]
    fn words_of_others_control_no_terminal() {
        let message = &set(&[], 1, false, "ä\u{1b}[31m\u{9b}31m\u{85}\u{202e}b\u{2066}\nc")[0].message;
        assert_eq!(message, "ä [31m 31m  b \nc");
    }

    #[test]
    fn the_time_moves_only_when_the_status_flips() {
        let first = set(&[], 1, true, "a");
        let other_words = set(&first, 2, true, "b");
        assert_eq!(other_words[0].last_transition_time, Time(at(1)));
        assert_eq!(other_words[0].observed_generation, Some(2));
        let flipped = set(&other_words, 3, false, "b");
        assert_eq!(flipped[0].last_transition_time, Time(at(3)));
        let mut anew = Conditions::new(&flipped, Some(4), at(4));
        anew.set_anew("Valid", false, "Because", "b");
        assert_eq!(anew.finish()[0].last_transition_time, Time(at(4)));
    }
}
