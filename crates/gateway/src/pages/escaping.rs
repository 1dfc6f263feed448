//! untrusted text -> HTML that shows exactly that text (pure).

/// Escapes a text for elements and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The same; text between two backticks becomes code.
pub(super) fn with_code(text: &str) -> String {
    let mut markup = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, (code, after))) = rest
        .split_once('`')
        .and_then(|(before, after)| Some((before, after.split_once('`')?)))
    {
        markup.push_str(&escape(before));
        markup.push_str("<code>");
        markup.push_str(&escape(code));
        markup.push_str("</code>");
        rest = after;
    }
    markup.push_str(&escape(rest));
    markup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            escape("<img src=x onerror='a(\"b\")'> & more"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; more"
        );
    }

    #[test]
    fn backticks_in_pairs_are_code_and_its_text_is_escaped() {
        assert_eq!(
            with_code("see `kubectl <x>`."),
            "see <code>kubectl &lt;x&gt;</code>."
        );
        assert_eq!(with_code("a ` b"), "a ` b");
        assert_eq!(with_code("`a` ` <b>"), "<code>a</code> ` &lt;b&gt;");
        assert_eq!(with_code(""), "");
    }
}
