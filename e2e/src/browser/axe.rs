//! Page in a browser -> what breaks WCAG 2.2 A and AA on it, by axe-core (IO).

use std::{env, fs};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::browser::Browser;

const VARIABLE: &str = "JUPYTER_K8S_AXE";
/// Tags of the rules of all levels up to AA.
const TAGS: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];

/// Runs all rules of the tags, also those that axe-core leaves out by default, such as the size of targets. It does so by their names,
/// because tags alone choose no such rule.
const RUN: &str = r"
const [tags, done] = arguments;
const rules = axe.getRules(tags).filter((rule) => !rule.tags.includes('deprecated'));
const values = rules.map((rule) => rule.ruleId);
axe.run(document, { runOnly: { type: 'rule', values }, resultTypes: ['violations'], preload: false }).then(
  (results) => done({
    rules: values,
    violations: results.violations.flatMap((rule) => rule.nodes.map((node) =>
      `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary.replace(/\s+/g, ' ')}: ${node.html.slice(0, 200)}`)),
  }),
  (error) => done({ rules: [], violations: [String(error)] }),
);
";

/// axe-core, and a script that runs it.
#[derive(Debug)]
pub struct Axe(String);

impl Axe {
    /// Reads it.
    ///
    /// # Errors
    /// The variable is unset, or the file cannot be read.
    pub fn load() -> anyhow::Result<Self> {
        let path = env::var(VARIABLE)
            .with_context(|| format!("{VARIABLE} is not set: run the tests by `./justw test`"))?;
        let script = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // In one script, because a page that is loaded anew has lost axe-core.
        Ok(Self(format!(
            "if (typeof axe === 'undefined') {{ {script} }}\n{RUN}"
        )))
    }

    /// What breaks a rule, as rule, element and reason.
    ///
    /// # Errors
    /// The browser does not answer, or not all rules are known.
    pub async fn violations(&self, browser: &Browser) -> anyhow::Result<Vec<String>> {
        let found = browser.page.execute_async(&self.0, vec![json!(TAGS)]).await?;
        let texts = |name: &str| -> anyhow::Result<Vec<String>> {
            let list: Value = found[name].clone();
            serde_json::from_value(list).with_context(|| format!("{name} of {found}"))
        };
        let (rules, violations) = (texts("rules")?, texts("violations")?);
        for rule in ["color-contrast", "target-size", "label", "aria-valid-attr"] {
            anyhow::ensure!(
                rules.iter().any(|known| known == rule) || !violations.is_empty(),
                "the rule {rule} is not among {rules:?}"
            );
        }
        Ok(violations)
    }
}
