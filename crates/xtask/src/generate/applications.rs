//! The chart's applications.yaml -> the lists of them in values, schema and pages (pure).

use anyhow::Context as _;

use crate::applications::{APPLICATIONS, Application};

/// values.yaml, with the images.
///
/// # Errors
/// When a line that the list is next to is missing. The same holds for the functions below.
pub(super) fn values(text: &str) -> anyhow::Result<String> {
    let line = |_: &str, Application { image, .. }: &Application| {
        format!("  {image}: {{repository: jk8s-application-{image}, tag: \"\"}}")
    };
    fill(
        text,
        "  # Those of applications.yaml",
        "  # Traefik.",
        &lines(line),
    )
}

/// values.schema.json, with the images and the names.
pub(super) fn schema(text: &str) -> anyhow::Result<String> {
    let line = |name: &str, Application { image, .. }: &Application| {
        let description = format!("Image of the application `{name}`, with the alias `{image}`.");
        format!(
            "        \"{image}\": {{\"description\": \"{description}\", \"$ref\": \"#/definitions/image\"}},"
        )
    };
    let text = fill(
        text,
        "        \"application\": ",
        "        \"proxy\": ",
        &lines(line),
    )?;
    let names: Vec<_> = APPLICATIONS.keys().map(|name| format!("\"{name}\"")).collect();
    let names = format!("        \"enum\": [{}]", names.join(", "));
    fill(
        &text,
        "        \"$comment\": \"Names in applications.yaml\"",
        "      }",
        &[names],
    )
}

/// docs/images.md, with names, images and what these hold.
pub(super) fn images_page(text: &str) -> anyhow::Result<String> {
    let line = |name: &str, Application { image, holds }: &Application| {
        format!("| `{name}` | `{image}` | `jk8s-application-{image}` | {holds} |")
    };
    fill(text, "| (always) `jupyterlab` ", "\n", &lines(line))
}

/// docs/install.md, with the images.
pub(super) fn install_page(text: &str) -> anyhow::Result<String> {
    let line = |_: &str, Application { image, .. }: &Application| {
        let from = "this repository; only with an entry of [`applications`](images.md)";
        format!(
            "| `images.{image}` | `jk8s-application-{image}:{}` | {from} |",
            env!("CARGO_PKG_VERSION")
        )
    };
    fill(text, "| `images.application` ", "| `images.proxy` ", &lines(line))
}

fn lines(line: impl Fn(&str, &Application) -> String) -> Vec<String> {
    APPLICATIONS
        .iter()
        .map(|(name, application)| line(name, application))
        .collect()
}

/// Replaces what stands between the line that begins with `after` and the next that begins with `before`.
fn fill(text: &str, after: &str, before: &str, lines: &[String]) -> anyhow::Result<String> {
    let range = || {
        let line = text.find(&format!("\n{after}"))? + 1;
        let start = line + text[line..].find('\n')?;
        let end = start + text[start..].find(&format!("\n{before}"))?;
        Some((start, end))
    };
    let (start, end) = range()
        .with_context(|| format!("no line begins with `{after}`, or none after it with `{before}`"))?;
    let lines: String = lines.iter().flat_map(|line| ["\n", line]).collect();
    Ok([&text[..start], &lines, &text[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_replaced_between_its_neighbours_alone() {
        let filled = fill(
            "a\nb 1\nold\n\nc\n",
            "b",
            "\n",
            &["new".to_owned(), "newer".to_owned()],
        );
        assert_eq!(filled.unwrap(), "a\nb 1\nnew\nnewer\n\nc\n");
        assert!(fill("a\nb 1\nc\n", "b", "d", &[]).is_err());
    }
}
