//! Annotation of a workspace -> which rule stopped which of its runs (pure).

use std::{fmt, str::FromStr};

use api::workspace::StopRule;
use jiff::Timestamp;

/// Which rule stopped which run, when, and the reason of its failure, if any. The annotation has the form
/// `Failed 2026-01-31T12:00:00Z <run> ImagePullFailed`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Because {
    /// The rule.
    pub(crate) rule: StopRule,
    /// To the second.
    pub(crate) time: Timestamp,
    /// The run that it ended.
    pub(crate) run_id: String,
    /// Why the run was not ready.
    pub(crate) reason: Option<String>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rule.name(), self.time, self.run_id)?;
        self.reason.iter().try_for_each(|reason| write!(f, " {reason}"))
    }
}

impl FromStr for Because {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ');
        let mut part = || parts.next().ok_or(());
        let name = part()?;
        let rule = StopRule::ALL.into_iter().find(|rule| rule.name() == name);
        Ok(Self {
            rule: rule.ok_or(())?,
            time: part()?.parse().map_err(drop)?,
            run_id: part()?.to_owned(),
            reason: parts.next().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_is_read_as_it_was_written() {
        let written = Because {
            rule: StopRule::Idle,
            time: "2026-01-31T12:00:00Z".parse().unwrap(),
            run_id: "run1".to_owned(),
            reason: None,
        };
        assert_eq!(written.to_string(), "Idle 2026-01-31T12:00:00Z run1");
        assert_eq!(written.to_string().parse(), Ok(written.clone()));
        for rule in StopRule::ALL {
            let other = Because {
                rule,
                reason: Some("ImagePullFailed".to_owned()),
                ..written.clone()
            };
            assert_eq!(other.to_string().parse(), Ok(other));
        }
        for text in [
            "",
            "Idle",
            "Idle now run1",
            "Whim 2026-01-31T12:00:00Z run1",
            "Idle 2026-01-31T12:00:00Z",
        ] {
            assert_eq!(text.parse::<Because>(), Err(()), "{text}");
        }
    }
}
