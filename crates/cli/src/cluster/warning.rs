//! Warning headers of a response -> their texts (pure).

use http::HeaderMap;
use http::header::WARNING;

/// The texts of `Warning: 299 - "text"` headers.
pub(crate) fn texts(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(parse)
        .collect()
}

/// Every quoted text with code 299 in one header, which may hold several.
fn parse(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((head, quoted)) = rest.split_once('"') {
        let (text, after) = unquote(quoted);
        if head.trim_start_matches([',', ' ']).starts_with("299 ") {
            found.push(text);
        }
        // A quoted date may follow.
        rest = after.split_once(',').map_or("", |(_, next)| next);
    }
    found
}

fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (text, &quoted[place + 1..]),
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            character => text.push(character),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn one_header_or_several_give_their_texts() {
        let mut headers = HeaderMap::new();
        headers.append(WARNING, r#"299 - "first""#.parse().unwrap());
        headers.append(
            WARNING,
            r#"299 kube "a \"quoted\", text", 299 - "third""#.parse().unwrap(),
        );
        headers.append(WARNING, r#"199 - "of another kind""#.parse().unwrap());
        assert_eq!(texts(&headers), ["first", r#"a "quoted", text"#, "third"]);
    }
}
