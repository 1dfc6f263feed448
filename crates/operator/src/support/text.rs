//! Texts, lists -> short texts for messages (pure).

/// A text of at most `limit` bytes, cut at a character. Parts of it are others' words: what controls a terminal becomes a space, as clients
/// such as kubectl print it as it is.
pub(crate) fn brief(text: &str, limit: usize) -> String {
    const CUT: &str = "…";
    let controls = |character: char| character != '\n' && api::controls_display(character);
    let text = text.replace(controls, " ");
    if text.len() <= limit {
        return text;
    }
    format!("{}{CUT}", &text[..text.floor_char_boundary(limit - CUT.len())])
}

/// The first `most` items of a list, and how many more there are.
pub(crate) fn join_first<S: AsRef<str>>(items: &[S], most: usize) -> String {
    let first: Vec<_> = items.iter().take(most).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(most) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
