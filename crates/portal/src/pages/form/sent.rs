//! Body of a form -> values of its controls, or what is wrong with the body (pure).

use std::collections::BTreeMap;

use rules::form::{Form, Kind, Values};

use crate::pages::extract::sent_twice;

/// The value of the card for another image.
pub(super) const OTHER: &str = "other";

/// A form as the browser sent it: names and values in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sent(pub(super) Vec<(String, String)>);

impl Sent {
    /// Takes out a field that is no control, such as `namespace`. Empty if it was not sent.
    pub(super) fn take(&mut self, name: &str) -> Result<String, String> {
        let mut found = self
            .0
            .extract_if(.., |(sent, _)| sent == name)
            .map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() {
            return Err(sent_twice("field", name));
        }
        Ok(first.unwrap_or_default())
    }

    /// The values of the controls.
    pub(super) fn values(self, form: &Form) -> Result<Values, String> {
        let mut values = BTreeMap::new();
        for (name, value) in self.0 {
            if !is_control(form, &name) {
                return Err(format!(
                    "This form has no field {name:?}. The template may have changed since the form was opened."
                ));
            }
            if values.insert(name.clone(), value).is_some() {
                return Err(sent_twice("field", &name));
            }
        }
        other_images(form, &mut values);
        Ok(Values(values))
    }
}

fn is_control(form: &Form, name: &str) -> bool {
    if form.field(name).is_some() {
        return true;
    }
    name.strip_suffix(".other")
        .and_then(|path| form.field(path))
        .is_some_and(|field| matches!(field.kind, Kind::Image { custom: true, .. }))
}

/// The text counts if the card for another image is chosen.
fn other_images(form: &Form, values: &mut BTreeMap<String, String>) {
    for field in form
        .fields
        .iter()
        .filter(|field| matches!(field.kind, Kind::Image { .. }))
    {
        let typed = values.remove(&format!("{}.other", field.path));
        if let (Some(value), Some(typed)) = (values.get_mut(&field.path), typed)
            && value == OTHER
        {
            *value = typed;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rules::form::{Change, Field};

    use super::*;

    fn field(path: &str, kind: Kind) -> Field {
        Field {
            path: path.to_owned(),
            section: "",
            label: path.to_owned(),
            help: "",
            kind,
            default: None,
            is_required: false,
            change: Change::New,
        }
    }

    fn form() -> Form {
        let text = Kind::Text { rule: None };
        let image = Kind::Image {
            choices: Vec::new(),
            custom: true,
        };
        Form {
            fields: vec![field("metadata.name", text), field("spec.image", image)],
        }
    }

    pub(in super::super) fn sent(pairs: &[(&str, &str)]) -> Sent {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sent(pairs.iter().map(owned).collect())
    }

    fn values(pairs: &[(&str, &str)]) -> Result<Values, String> {
        sent(pairs).values(&form())
    }

    #[test]
    fn a_field_that_the_form_lacks_or_that_comes_twice_is_refused() {
        for name in [
            "spec.hostNetwork",
            "metadata.name.other",
            "spec.env[0].name",
            "spec.tolerations[0].key",
        ] {
            let unknown = values(&[(name, "true")]).unwrap_err();
            assert!(unknown.contains(&format!("{name:?}")), "{unknown}");
        }
        let twice = values(&[("metadata.name", "a"), ("metadata.name", "b")]).unwrap_err();
        assert!(twice.contains("more than once"), "{twice}");
        let mut twice = sent(&[("namespace", "a"), ("namespace", "b")]);
        assert!(twice.take("namespace").is_err());
    }

    #[test]
    fn a_field_beside_the_controls_is_taken_out() {
        let mut sent = sent(&[("namespace", "team"), ("metadata.name", "a")]);
        assert_eq!(sent.take("namespace").unwrap(), "team");
        assert_eq!(sent.take("template").unwrap(), "");
        assert_eq!(sent.0.len(), 1);
    }

    #[test]
    fn the_text_for_another_image_counts_if_its_card_is_chosen() {
        let image = |chosen| {
            let values = values(&[("spec.image", chosen), ("spec.image.other", "r/other:1")]).unwrap();
            assert_eq!(values.0.len(), 1);
            values.get("spec.image").unwrap().to_owned()
        };
        assert_eq!(image("uv"), "uv");
        assert_eq!(image(""), "");
        assert_eq!(image(OTHER), "r/other:1");
    }
}
