//! answer of the API server -> the same without what is nested too deep to be read (in memory)
//!
//! Of an answer with more than 127 levels `serde_json` reads nothing, so one object would keep a list or a watch from being read. The API
//! server stores thousands of levels: in fields without a schema, and in `metadata.managedFields` of any object, which its author writes.

use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};

/// Lists and maps within each other that are read. No valid object of ours has so many: see [`crate::names::MAX_MANIFEST_LEVELS`].
pub const MAX_LEVELS: usize = 100;

/// How far a JSON text is read, which comes in parts. Several texts may follow each other.
#[derive(Debug, Default)]
pub struct Levels {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Levels {
    /// The next part, with `null` in place of each list and map beyond [`MAX_LEVELS`].
    pub fn cut(&mut self, part: Bytes) -> Bytes {
        let mut kept = Vec::new();
        // Where what is kept and not yet copied begins.
        let mut from = if self.depth > MAX_LEVELS { part.len() } else { 0 };
        for (at, byte) in part.iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'[' | b'{' => {
                    if self.depth == MAX_LEVELS {
                        kept.extend_from_slice(&part[from..at]);
                        kept.extend_from_slice(b"null");
                        from = part.len();
                    }
                    self.depth += 1;
                }
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == MAX_LEVELS {
                        from = at + 1;
                    }
                }
                _ => {}
            }
        }
        if from == 0 {
            return part;
        }
        kept.extend_from_slice(&part[from..]);
        kept.into()
    }
}

/// The same client, whose answers can be read whatever is stored.
pub fn readable(client: Client) -> Client {
    let (namespace, valid_until) = (client.default_namespace().to_owned(), *client.valid_until());
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let answer = client.send(request).await?;
            let kind = answer.headers().get(CONTENT_TYPE);
            let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
            let mut levels = Levels::default();
            Ok::<_, kube::Error>(answer.map(|body| {
                body.map_frame(move |frame| {
                    frame.map_data(|part| if is_json { levels.cut(part) } else { part })
                })
            }))
        }
    });
    Client::new(service, namespace).with_valid_until(valid_until)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nested(levels: usize) -> String {
        format!(
            "{}{}",
            "{\"a\\\"[\":[".repeat(levels / 2),
            "]}".repeat(levels / 2)
        )
    }

    fn cut(text: &str, parts: usize) -> String {
        let mut levels = Levels::default();
        let parts = text.as_bytes().chunks(parts);
        let cut = parts.flat_map(|part| levels.cut(Bytes::copy_from_slice(part)));
        String::from_utf8(cut.collect()).unwrap()
    }

    #[test]
    fn what_is_deeper_is_null_and_what_is_beside_it_stays_however_the_text_is_split() {
        let fits = nested(MAX_LEVELS);
        assert_eq!(cut(&fits, 7), fits);
        for levels in [MAX_LEVELS + 2, 140, 9_000] {
            let text = format!("[{},{{\"b\": 1}}]", nested(levels));
            let is_read = serde_json::from_str::<Value>(&text).is_ok();
            assert_eq!(is_read, levels < 127);
            for parts in [1, 2, 3, 11, text.len()] {
                let read: Value = serde_json::from_str(&cut(&text, parts)).unwrap();
                assert_eq!(read[1], json!({"b": 1}), "{levels} {parts}");
                assert_eq!(cut(&text, parts), cut(&text, 1));
            }
        }
        let lines = format!("{}\n{}\n", nested(200), nested(200));
        assert_eq!(cut(&lines, 5).lines().count(), 2);
        assert_eq!(cut("]}]{\"a\":1}", 3), "]}]{\"a\":1}");
    }
}
