//! Names and their failures -> `JUnit`'s XML, for test reports (pure).

use std::fmt::Write as _;

use super::Report;
use crate::console::is_control;

/// One test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) class: String,
    pub(crate) name: String,
    /// Empty: it passed.
    pub(crate) failures: Vec<String>,
}

/// Each checked object as a test case.
pub(crate) fn of_report(report: &Report) -> Vec<Case> {
    let case = |checked: &super::Checked| Case {
        class: checked.file.clone(),
        name: format!("{} (object {})", checked.object, checked.document),
        failures: report
            .problems
            .iter()
            .filter(|it| (&it.file, it.document) == (&checked.file, checked.document))
            .map(|it| format!("line {}: {}: {}", it.line, it.field, it.message))
            .collect(),
    };
    let unread = report.problems.iter().filter(|it| it.document == 0);
    let unread = unread.map(|it| Case {
        class: it.file.clone(),
        name: it.object.clone(),
        failures: vec![format!("line {}: {}", it.line, it.message)],
    });
    report.objects.iter().map(case).chain(unread).collect()
}

/// A suite of this name. A case has at most one `failure`, which readers of the format expect.
pub(crate) fn render(suite: &str, cases: &[Case]) -> String {
    let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
    let counts = format!(
        "name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\"",
        escaped(suite),
        cases.len()
    );
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite {counts} skipped=\"0\">\n"
    );
    for Case {
        class,
        name,
        failures,
    } in cases
    {
        let names = format!("classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
        let Some(first) = failures.first() else {
            let _ = writeln!(text, "    <testcase {names} time=\"0\"/>");
            continue;
        };
        let _ = writeln!(
            text,
            "    <testcase {names} time=\"0\">\n      <failure message=\"{}\" type=\"violation\">{}</failure>\n    </testcase>",
            escaped(first),
            escaped(&failures.join("\n"))
        );
    }
    text + "  </testsuite>\n</testsuites>\n"
}

/// Text for XML 1.0, which has no control characters below U+0020 but tab and line ends.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other if other < ' ' => escaped.push('\u{fffd}'),
            other if is_control(other) => {
                let _ = write!(escaped, "&#x{:x};", u32::from(other));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_texts_are_escaped() {
        let case = |name: &str, failures: &[&str]| Case {
            class: "a.yaml".to_owned(),
            name: name.to_owned(),
            failures: failures.iter().map(ToString::to_string).collect(),
        };
        let text = render(
            "lint",
            &[
                case("one", &[]),
                case("t<w>o\u{202e}", &["\"5\" & more\u{1b}[1m", "second"]),
            ],
        );
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"lint\" tests=\"2\" failures=\"1\" errors=\"0\">\n  \
               <testsuite name=\"lint\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n    \
                 <testcase classname=\"a.yaml\" name=\"one\" time=\"0\"/>\n    \
                 <testcase classname=\"a.yaml\" name=\"t&lt;w&gt;o&#x202e;\" time=\"0\">\n      \
                   <failure message=\"&quot;5&quot; &amp; more\u{fffd}[1m\" type=\"violation\">\
                   &quot;5&quot; &amp; more\u{fffd}[1m\nsecond</failure>\n    \
                 </testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
