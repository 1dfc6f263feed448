//! Body -> at most how much memory it may take while it is decided (pure).

/// Most that one body may weigh, in bytes. An update of a workspace whose spec is as large as it may be, in a thousand parts that two
/// writers own, with as large annotations, weighs half of it.
pub const HEAVIEST: usize = 128 * 1024 * 1024;

/// Trees of JSON, or what weighs as much, that are held of one text at once: the object that is asked about; at a deletion again, as the
/// stored one; while that is read as its own type, a copy of it and what is written of that; and what is read.
const TREES: usize = 5;
/// A map that is not empty, or a type with fields that are always written: one node has room for eleven names and values, however few there are.
const MAP: usize = 640;
/// A list that is not empty: it has room for four values from the first on.
const LIST: usize = 128;
/// Each further one: a node of a map may be half full, and lists grow by doubling.
const NEXT: usize = 160;
/// Per byte of the body: itself, the texts in it, each of which takes at least eight bytes, and what is said of them.
const TEXT: usize = 20;

/// At least what parsing and deciding `body` takes, in bytes. A body of JSON that is not well formed is parsed as far as it is, and
/// weighed to its end.
pub fn weight(body: &[u8]) -> usize {
    let mut values: usize = 0;
    let mut is_text = false;
    let mut is_escaped = false;
    let (mut before, mut last) = (0, 0);
    for &byte in body {
        if is_text {
            is_text = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match (byte, last) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => continue,
            // In a list it may be of a type that always has some fields.
            (b'}', b'{') if before == b':' => values = values.saturating_sub(MAP),
            (b']', b'[') => values = values.saturating_sub(LIST),
            (b'{', _) => values += MAP,
            (b'[', _) => values += LIST,
            (b',', _) => values += NEXT,
            (b'"', _) => is_text = true,
            _ => {}
        }
        (before, last) = (last, byte);
    }
    body.len() * TEXT + values * TREES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without its length.
    fn values(body: &str) -> usize {
        (weight(body.as_bytes()) - body.len() * TEXT) / TREES
    }

    #[test]
    fn a_body_weighs_what_its_values_take_rather_than_its_length() {
        assert_eq!(weight(b""), 0);
        assert_eq!(values("7"), 0);
        assert_eq!(values(r#"{"a":{}, "b":[ ]}"#), MAP + NEXT);
        assert_eq!(values("[{}, {}]"), LIST + 2 * MAP + NEXT);
        assert_eq!(values(r#"[{"a":0},{"a":0},{"a":0}]"#), LIST + 3 * MAP + 2 * NEXT);
    }

    #[test]
    fn what_stands_in_a_text_is_no_value() {
        assert_eq!(values(r#"{"a{,[":"\"{,[\\","b":"\\\"{"}"#), MAP + NEXT);
        assert_eq!(values(r#""\\",{"a":0}"#), NEXT + MAP);
    }

    #[test]
    fn what_is_no_json_is_weighed_too() {
        for (body, expected) in [("}}]]{", MAP), ("\"{{{{", 0), ("[[[[", 4 * LIST)] {
            assert_eq!(values(body), expected, "{body}");
        }
    }
}
