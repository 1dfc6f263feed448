//! Figure and its limit -> a row of the table of targets (pure).

/// A figure and its target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) figure: f64,
    pub(super) limit: f64,
    pub(super) digits: usize,
}

impl Target {
    /// Whether the figure exceeds the target.
    pub(super) fn is_missed(&self) -> bool {
        self.figure > self.limit
    }

    /// The figure's row of the table.
    pub(super) fn row(&self) -> String {
        let Self {
            name,
            unit,
            figure,
            limit,
            digits,
        } = self;
        let missed = if self.is_missed() { "**missed**" } else { "" };
        format!("| {name} | {figure:.digits$} {unit} | {limit} {unit} | {missed} |\n")
    }
}
