//! Text with code between backticks -> HTML that shows exactly that text (pure).

/// Escapes a text for elements. Text between two backticks becomes code. The rest is isolated where it has letters or marks that may
/// change the direction of what follows.
pub fn markup(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, (code, after))) = rest
        .split_once('`')
        .and_then(|(before, after)| Some((before, after.split_once('`')?)))
    {
        isolate(&mut html, before);
        html.push_str("<code>");
        escape(&mut html, code);
        html.push_str("</code>");
        rest = after;
    }
    isolate(&mut html, rest);
    html
}

/// Only other letters than ASCII may have another direction: most sentences are ours.
fn isolate(html: &mut String, text: &str) {
    if text.is_ascii() {
        return escape(html, text);
    }
    html.push_str("<bdi>");
    escape(html, text);
    html.push_str("</bdi>");
}

fn escape(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_between_backticks_is_marked_and_everything_is_escaped() {
        for (text, expected) in [
            ("see `kubectl <x>`.", "see <code>kubectl &lt;x&gt;</code>."),
            ("a ` <b>", "a ` &lt;b&gt;"),
            ("`a` ` <b>", "<code>a</code> ` &lt;b&gt;"),
            (
                "<img src=x onerror='a(\"b\")'> & more",
                "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; more",
            ),
            ("\u{202e}x", "<bdi>\u{202e}x</bdi>"),
            ("", ""),
        ] {
            assert_eq!(markup(text), expected);
        }
    }
}
