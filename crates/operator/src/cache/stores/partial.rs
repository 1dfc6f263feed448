//! Text of an object -> the same without fields that no reconcile reads (pure).
//!
//! Dropped text need not be parsed. A kind names the fields that may be dropped. `trim` decides what is kept of the rest. Its result is
//! the same with and without this step. It is hand-written: `modify` of `kube::runtime` sees an object after all of it was parsed.

use crate::cache::external_changes;

/// Which part of a JSON value is kept.
#[derive(Clone, Copy, Debug)]
pub enum FieldMask {
    /// All of it.
    All,
    /// Nothing: as if its key were absent.
    Drop,
    /// These keys of an object.
    Only(&'static [(&'static str, Self)]),
    /// All keys of an object, and only this part of the named ones.
    Most(&'static [(&'static str, Self)]),
    /// This part of each element of a list.
    Each(&'static Self),
    /// Of `managedFields`, the entries that may show an external change of a pod template or of the number of replicas.
    Hands,
}

/// Which part of the text of a kind is kept.
pub trait Partial {
    /// All except `managedFields`, unless a kind says otherwise.
    const FIELDS: FieldMask = BOOKS;
}

/// All except `managedFields`, which consist of many small maps.
pub(super) const BOOKS: FieldMask =
    FieldMask::Most(&[("metadata", FieldMask::Most(&[("managedFields", FieldMask::Drop)]))]);

/// The part of the text that `mask` keeps. A value of another JSON type than the mask expects stays as it is, so that parsing reports
/// the error. `text` must be valid JSON.
pub fn project(text: &str, mask: &FieldMask) -> String {
    let mut skimmer = Skimmer {
        text,
        at: 0,
        kept: String::with_capacity(text.len() / 4),
    };
    skimmer.value(mask);
    skimmer.kept
}

struct Skimmer<'a> {
    text: &'a str,
    at: usize,
    kept: String,
}

impl Skimmer<'_> {
    fn value(&mut self, mask: &FieldMask) {
        self.blanks();
        match (mask, self.byte()) {
            (FieldMask::Drop, _) => self.skip(),
            (FieldMask::Only(keys), b'{') => self.object(|key| {
                let known = keys.iter().find(|(name, _)| *name == key);
                known.map_or(&FieldMask::Drop, |(_, mask)| mask)
            }),
            (FieldMask::Most(keys), b'{') => self.object(|key| {
                let known = keys.iter().find(|(name, _)| *name == key);
                known.map_or(&FieldMask::All, |(_, mask)| mask)
            }),
            (FieldMask::Each(mask), b'[') => self.list(mask),
            (FieldMask::Hands, b'[') => self.hands(),
            _ => {
                let begin = self.at;
                self.skip();
                self.keep(begin);
            }
        }
    }

    fn object<'m>(&mut self, mask_of: impl Fn(&str) -> &'m FieldMask) {
        self.kept.push('{');
        let mut first = true;
        self.members(b'}', |this| {
            let begin = this.at;
            this.string();
            let quoted = this.text.get(begin..this.at).unwrap_or_default();
            let mask = mask_of(quoted.trim_matches('"'));
            this.blanks();
            // Skips the colon.
            this.at += 1;
            if matches!(mask, FieldMask::Drop) {
                return this.value(mask);
            }
            this.comma(&mut first);
            this.kept.push_str(quoted);
            this.kept.push(':');
            this.value(mask);
        });
        self.kept.push('}');
    }

    fn list(&mut self, mask: &FieldMask) {
        self.kept.push('[');
        let mut first = true;
        self.members(b']', |this| {
            this.comma(&mut first);
            this.value(mask);
        });
        self.kept.push(']');
    }

    /// Copies the `managedFields` entries that may show an external change.
    fn hands(&mut self) {
        self.kept.push('[');
        let mut first = true;
        self.members(b']', |this| {
            let begin = this.at;
            this.skip();
            let entry = this.text.get(begin..this.at).unwrap_or_default();
            if may_be_by_hand(entry) {
                this.comma(&mut first);
                this.kept.push_str(entry);
            }
        });
        self.kept.push(']');
    }

    /// Processes the members up to the closing bracket.
    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self)) {
        self.at += 1;
        self.blanks();
        while self.at < self.text.len() && self.byte() != end {
            member(self);
            self.blanks();
            if self.byte() == b',' {
                self.at += 1;
                self.blanks();
            }
        }
        self.at += 1;
    }

    /// Skips to the end of a value.
    fn skip(&mut self) {
        match self.byte() {
            b'"' => self.string(),
            b'{' | b'[' => {
                let mut depth = 0_usize;
                while self.at < self.text.len() {
                    match self.byte() {
                        b'"' => {
                            self.string();
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        return;
                    }
                }
            }
            _ => {
                let rest = self.text.as_bytes().iter().skip(self.at);
                let ends = |byte: &&u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                self.at += rest.take_while(|byte| !ends(byte)).count();
            }
        }
    }

    /// Skips to the end of a string.
    fn string(&mut self) {
        self.at += 1;
        while self.at < self.text.len() {
            match self.byte() {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
    }

    fn blanks(&mut self) {
        while self.byte().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn comma(&mut self, first: &mut bool) {
        if !std::mem::replace(first, false) {
            self.kept.push(',');
        }
    }

    fn keep(&mut self, begin: usize) {
        self.kept
            .push_str(self.text.get(begin..self.at).unwrap_or_default());
    }

    /// The current byte. 0 behind the end, which no JSON contains.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }
}

/// Whether a `managedFields` entry may show that another manager changed a pod template or the number of replicas.
fn may_be_by_hand(entry: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(borrow, default)]
        manager: Option<std::borrow::Cow<'a, str>>,
    }
    let touches = entry.contains("\"f:template\"") || entry.contains("\"f:replicas\"");
    touches
        && serde_json::from_str::<Head<'_>>(entry).map_or(true, |head| {
            !head.manager.is_some_and(|who| external_changes::is_known(&who))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(manager: &str, field: &str) -> Value {
        json!({"manager": manager, "fieldsV1": {"f:spec": {field: {}}}})
    }

    #[test]
    fn of_the_books_only_a_pod_template_or_a_count_changed_by_hand_is_kept() {
        const FIELDS: FieldMask = FieldMask::Most(&[("managedFields", FieldMask::Hands)]);
        let kept = |entries: &[Value]| {
            let text = project(
                &json!({"name": "a", "managedFields": entries}).to_string(),
                &FIELDS,
            );
            serde_json::from_str::<Value>(&text).unwrap()["managedFields"].clone()
        };
        let ours = entry(api::names::OPERATOR, "f:template");
        let controller = entry("kube-controller-manager", "f:template");
        let own_scale = entry(api::names::OPERATOR_SCALE, "f:replicas");
        let scaled = entry("kubectl", "f:replicas");
        let edited = entry("kubectl-edit", "f:template");
        let nobodys = json!({"fieldsV1": {"f:spec": {"f:template": {}}}});
        let usual = [ours, controller, own_scale, entry("kubectl-label", "f:paused")];
        assert_eq!(kept(&usual), json!([]));
        let changed = [
            usual.as_slice(),
            &[scaled.clone(), edited.clone(), nobodys.clone()],
        ]
        .concat();
        assert_eq!(kept(&changed), json!([scaled, edited, nobodys]));
        assert_eq!(kept(&[]), json!([]));
    }

    #[test]
    fn what_is_not_named_is_left_out_and_nothing_else() {
        const FIELDS: FieldMask = FieldMask::Only(&[
            ("a", FieldMask::All),
            ("o", FieldMask::Most(&[("drop", FieldMask::Drop)])),
            ("l", FieldMask::Each(&FieldMask::Only(&[("k", FieldMask::All)]))),
        ]);
        let text = r#" { "x" : [1,{"a":2}], "a" : {"\"x": "}\\"} , "o":{"drop":{"}":"]"},"z":-1.5e3 ,"n":null},
            "l":[ {"k":true,"j":"\\"},{}, 7 ], "y":"\"" }"#;
        assert_eq!(
            project(text, &FIELDS),
            r#"{"a":{"\"x": "}\\"},"o":{"z":-1.5e3,"n":null},"l":[{"k":true},{},7]}"#
        );
        for other in ["7", r#""a""#, "[1, 2]", "null", "-1"] {
            assert_eq!(project(other, &FIELDS), other);
        }
        assert_eq!(project("{}", &FIELDS), "{}");
        assert_eq!(
            project(r#"{"l":{"k":1},"o":[1]}"#, &FIELDS),
            r#"{"l":{"k":1},"o":[1]}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_it_only_what_is_left_out_differs(
            text in "[a-z\"\\\\{}\\[\\], :é]{0,12}",
            number in proptest::num::i64::ANY,
            blanks in proptest::bool::ANY,
        ) {
            let rest = json!({"b": &text, "c": [&text, number, {"managedFields": &text}], (&text): 1});
            let object = json!({"kind": &text, "metadata": {"managedFields": [{&text: [&text, {}]}], "z": rest}, "spec": rest});
            let mut expected = object.clone();
            expected["metadata"].as_object_mut().unwrap().remove("managedFields");
            let written = if blanks { format!("{object:#}") } else { object.to_string() };
            let kept: Value = serde_json::from_str(&project(&written, &BOOKS)).unwrap();
            proptest::prop_assert_eq!(kept, expected);
        }
    }
}
