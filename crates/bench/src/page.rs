//! Figures -> tables in docs/evidence/performance.md (IO).

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

/// One figure, beside that of a reference in the same run.
#[derive(Debug)]
pub(crate) struct Figure {
    what: String,
    ours: f64,
    reference: Option<f64>,
    target: Option<Target>,
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At most so much.
    AtMost(f64),
    /// At most so many times the reference.
    Ratio(f64),
    /// At least so many times the reference.
    RatioAtLeast(f64),
    /// At most so much more than the reference.
    More(f64),
}

impl Figure {
    /// Without a reference; `what` names the unit.
    pub(crate) fn alone(what: impl Into<String>, ours: f64) -> Self {
        Self {
            what: what.into(),
            ours,
            reference: None,
            target: None,
        }
    }

    /// Ours and the reference's.
    pub(crate) fn new(what: impl Into<String>, [ours, reference]: [f64; 2]) -> Self {
        Self {
            reference: Some(reference),
            ..Self::alone(what, ours)
        }
    }

    /// With a target, if there is one.
    pub(crate) fn within(mut self, target: impl Into<Option<Target>>) -> Self {
        self.target = target.into();
        self
    }

    fn row(&self) -> String {
        let text = |figure: Option<f64>| figure.map(digits).unwrap_or_default();
        let reference = self.reference.filter(|&reference| reference > 0.0);
        let ratio = reference.map(|reference| self.ours / reference);
        let (target, is_missed) = match self.target {
            None => (String::new(), false),
            Some(Target::AtMost(most)) => (digits(most), self.ours > most),
            Some(Target::Ratio(most)) => (format!("ratio {most}"), ratio > Some(most)),
            Some(Target::RatioAtLeast(least)) => (format!("ratio at least {least}"), ratio < Some(least)),
            Some(Target::More(most)) => {
                let more = self.reference.map(|reference| self.ours - reference);
                (format!("{most} more"), more > Some(most))
            }
        };
        let missed = if is_missed { ", **missed**" } else { "" };
        let [ours, reference, ratio] = [Some(self.ours), self.reference, ratio].map(text);
        let what = &self.what;
        format!("| {what} | {ours} | {reference} | {ratio} | {target}{missed} |\n")
    }
}

fn digits(figure: f64) -> String {
    let decimals = usize::from(figure < 100.0) + usize::from(figure < 10.0);
    format!("{figure:.decimals$}")
}

/// docs/evidence/performance.md.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence/performance.md");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, text })
    }

    /// Prints the table of a part, and replaces what is between its marks.
    pub(crate) fn put(&mut self, part: &str, figures: &[Figure]) -> anyhow::Result<()> {
        let mut table = "| | measured | reference | ratio | target |\n|---|---|---|---|---|\n".to_owned();
        for figure in figures {
            let _ = write!(table, "{}", figure.row());
        }
        println!("{part}\n\n{table}");
        self.text = insert(&self.text, part, &table).with_context(|| format!("no marks of {part}"))?;
        Ok(())
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        Ok(fs::write(&self.path, &self.text)?)
    }
}

fn insert(text: &str, part: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part}: begin -->"), format!("<!-- {part}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_target_is_missed() {
        let row = |figure: Figure, target| figure.within(target).row();
        let figure = || Figure::new("a", [3.0, 2.0]);
        assert_eq!(
            row(figure(), Target::Ratio(1.5)),
            "| a | 3.00 | 2.00 | 1.50 | ratio 1.5 |\n"
        );
        assert!(row(figure(), Target::Ratio(1.4)).contains("ratio 1.4, **missed**"));
        assert!(row(figure(), Target::RatioAtLeast(1.6)).contains("ratio at least 1.6, **missed**"));
        assert!(!row(figure(), Target::RatioAtLeast(1.5)).contains("missed"));
        assert!(row(figure(), Target::More(0.9)).contains("0.9 more, **missed**"));
        assert!(!row(figure(), Target::More(1.0)).contains("missed"));
        let memory = Figure::alone("b", 151.0);
        assert_eq!(
            row(memory, Target::AtMost(150.0)),
            "| b | 151 |  |  | 150, **missed** |\n"
        );
    }

    #[test]
    fn a_new_table_replaces_that_of_its_part_alone() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb <!-- y: begin --><!-- y: end -->";
        let new = insert(page, "x", "new\n");
        assert_eq!(new, Some(page.replace("old", "new")));
        assert_eq!(insert(page, "z", "new\n"), None);
    }
}
