//! Query of `/new` <-> namespace, template and workspace to copy (pure).

use serde::{Deserialize, Serialize};

/// The address of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Address {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    /// Empty: the user chooses one. `None`: that of the workspace whose values are copied, or the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) template: Option<String>,
    /// `<namespace>/<name>` of a workspace whose values are copied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) from: String,
}

impl Address {
    pub(super) fn text(&self) -> String {
        match serde_urlencoded::to_string(self).unwrap_or_default() {
            query if query.is_empty() => "/new".to_owned(),
            query => format!("/new?{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_only_what_is_chosen() {
        let address = Address {
            namespace: "a b".to_owned(),
            template: Some("t".to_owned()),
            from: String::new(),
        };
        assert_eq!(address.text(), "/new?namespace=a+b&template=t");
        assert_eq!(Address::default().text(), "/new");
        let chooses = Address {
            template: Some(String::new()),
            from: "team/lab".to_owned(),
            ..Address::default()
        };
        assert_eq!(chooses.text(), "/new?template=&from=team%2Flab");
        assert_eq!(
            serde_urlencoded::from_str("template=&from=team%2Flab"),
            Ok(chooses)
        );
        assert!(serde_urlencoded::from_str::<Address>("tmplate=x").is_err());
        assert!(serde_urlencoded::from_str::<Address>("template=x&template=y").is_err());
    }
}
