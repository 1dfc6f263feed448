//! Text -> literal parts, variables and escaped names (pure).

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Literal text.
    Text(&'a str),
    /// `{name}`.
    Variable(&'a str),
    /// `{{name}}`: the literal `{name}`.
    Escaped(&'a str),
}

/// The pieces of `text`. A name without a dot is a variable only if `claims` returns true.
pub(super) fn parts<'a>(text: &'a str, claims: &dyn Fn(&str) -> bool) -> impl Iterator<Item = Piece<'a>> {
    let mut found = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(step) = text[at..].find('{') {
        let open = at + step;
        let run = bytes[open..].iter().take_while(|byte| **byte == b'{').count();
        let inner = open + run;
        at = inner;
        // A variable of a shell or of a workflow.
        if open > 0 && bytes[open - 1] == b'$' {
            continue;
        }
        let Some(length) = name_length(&text[inner..]) else {
            continue;
        };
        let name = &text[inner..inner + length];
        let closing = bytes[inner + length..]
            .iter()
            .take_while(|byte| **byte == b'}')
            .count();
        let part = match (run, closing) {
            (_, 0) => continue,
            (2.., 2..) => Piece::Escaped(name),
            _ if claims(name) => Piece::Variable(name),
            _ => continue,
        };
        let braces = if matches!(part, Piece::Escaped(_)) { 2 } else { 1 };
        found.push(Piece::Text(&text[plain..inner - braces]));
        found.push(part);
        plain = inner + length + braces;
        at = plain;
    }
    found.push(Piece::Text(&text[plain..]));
    found.into_iter()
}

/// The name if `text` is exactly one variable.
pub(super) fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

/// Whether `name` can name a variable: parts of letters, digits, `_` and `-`, joined by dots.
/// No part starts with a digit or `-`.
pub(super) fn is_name(name: &str) -> bool {
    name_length(name) == Some(name.len())
}

/// Length of the name at the beginning of `text`.
fn name_length(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c))
        .unwrap_or(text.len());
    let well_formed = text[..end]
        .split('.')
        .all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    (well_formed && end > 0).then_some(end)
}
