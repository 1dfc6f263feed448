//! Findings of the rules -> answer (pure).

use rules::{Violation, Violations};

use super::{Decision, Refusal};

/// Violations and warnings of a request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Findings {
    /// Changes that the user has no permission for.
    pub(crate) forbidden: Vec<Violation>,
    /// Values that no user may write.
    pub(crate) invalid: Vec<Violation>,
    /// Values outside the template's bounds.
    pub(crate) out_of_bounds: Vec<Violation>,
    /// Warnings for the user.
    pub(crate) warnings: Vec<String>,
}

/// How the webhook treats a workspace outside its template's bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Enforcement {
    /// It is refused.
    #[default]
    Refuse,
    /// It is stored with a warning per violation. It gets no pod until it is within the bounds.
    Warn,
}

impl Findings {
    /// Adds other findings.
    pub(crate) fn extend(&mut self, other: Self) {
        self.forbidden.extend(other.forbidden);
        self.invalid.extend(other.invalid);
        self.out_of_bounds.extend(other.out_of_bounds);
        self.warnings.extend(other.warnings);
    }

    /// One answer with all findings.
    pub(crate) fn answer(self, enforcement: Enforcement) -> Decision {
        let Self {
            forbidden,
            invalid,
            out_of_bounds,
            mut warnings,
        } = self;
        let is_forbidden = !forbidden.is_empty();
        let is_refused = is_forbidden
            || !invalid.is_empty()
            || (enforcement == Enforcement::Refuse && !out_of_bounds.is_empty());
        if !is_refused {
            warnings.extend(out_of_bounds.iter().map(ToString::to_string));
            return Decision::Allow { warnings };
        }
        match Violations::from_list([forbidden, invalid, out_of_bounds].concat()) {
            None => Decision::Allow { warnings },
            Some(all) if is_forbidden => Decision::Refuse(Refusal::Forbidden(all)),
            Some(all) => Decision::Refuse(Refusal::Invalid(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(field: &str) -> Vec<Violation> {
        vec![Violation::new(field, "v", "is wrong")]
    }

    fn findings(forbidden: bool, invalid: bool, out_of_bounds: bool) -> Findings {
        let of = |is: bool, field| if is { violation(field) } else { Vec::new() };
        Findings {
            forbidden: of(forbidden, "f"),
            invalid: of(invalid, "i"),
            out_of_bounds: of(out_of_bounds, "b"),
            warnings: vec!["w".to_owned()],
        }
    }

    #[test]
    fn bounds_alone_become_warnings_where_they_only_warn() {
        let answer = findings(false, false, true).answer(Enforcement::Warn);
        let warnings = vec!["w".to_owned(), r#"b: "v" is wrong"#.to_owned()];
        assert_eq!(answer, Decision::Allow { warnings });
    }

    #[test]
    fn all_other_violations_are_refused_together() {
        for enforcement in [Enforcement::Refuse, Enforcement::Warn] {
            let all = |findings: Findings| match findings.answer(enforcement) {
                Decision::Refuse(Refusal::Forbidden(all)) => format!("forbidden {all}"),
                Decision::Refuse(Refusal::Invalid(all)) => format!("invalid {all}"),
                other => format!("{other:?}"),
            };
            assert_eq!(
                all(findings(true, true, true)),
                r#"forbidden f: "v" is wrong; i: "v" is wrong; b: "v" is wrong"#
            );
            assert_eq!(
                all(findings(false, true, true)),
                r#"invalid i: "v" is wrong; b: "v" is wrong"#
            );
        }
        let bounds = findings(false, false, true).answer(Enforcement::Refuse);
        assert_eq!(
            bounds,
            Decision::Refuse(Refusal::Invalid(Violations::from_list(violation("b")).unwrap()))
        );
    }
}
