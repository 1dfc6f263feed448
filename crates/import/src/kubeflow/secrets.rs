//! Variables with credentials -> references to Secrets, and the commands that make these (pure).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::names::hash;
use crate::path::Path;

/// Namespace, Secret and key.
type SecretKey = (String, String, String);

/// The Secrets of one source object after the other.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// By the object's number: namespace, name of its Secret, and how kubectl calls the object.
    owners: BTreeMap<usize, (String, String, String)>,
    /// How kubectl calls the object that has the value, and where in it the value is.
    keys: BTreeMap<SecretKey, (String, String)>,
}

impl Secrets {
    /// Says which Secret holds the credentials of an object.
    pub(super) fn name(&mut self, object: usize, namespace: &str, secret: String, old: String) {
        self.owners.insert(object, (namespace.to_owned(), secret, old));
    }

    /// Secret and key that hold the variable; `None`: a Secret cannot have a key of this name.
    pub(super) fn take(&mut self, object: usize, name: &str, at: &Path) -> Option<(String, String)> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return None;
        }
        let (namespace, secret, old) = self.owners.get(&object)?;
        let value = (old.clone(), at.to_string());
        let id = |key: &str| (namespace.clone(), secret.clone(), key.to_owned());
        // Two containers may have a variable of one name.
        let is_other = self.keys.get(&id(name)).is_some_and(|known| *known != value);
        let key = if is_other {
            format!("{name}.{}", hash(&value.1))
        } else {
            name.to_owned()
        };
        self.keys.insert(id(&key), value);
        Some((secret.clone(), key))
    }

    /// Commands that copy the values, without showing them.
    pub(super) fn commands(&self) -> String {
        const END: &str = " \\\n  | kubectl apply --server-side -f -\n";
        let mut text = String::new();
        let mut last = None;
        for ((namespace, secret, key), (old, at)) in &self.keys {
            if last != Some((namespace, secret)) {
                let end = if last.is_some() { END } else { "" };
                let _ = write!(
                    text,
                    "{end}kubectl -n {namespace} create secret generic {secret} --dry-run=client -o yaml"
                );
                last = Some((namespace, secret));
            }
            let _ = write!(
                text,
                " \\\n  --from-file={key}=<(kubectl -n {namespace} get {old} -o jsonpath='{{.{at}}}')"
            );
        }
        if last.is_some() {
            text.push_str(END);
        }
        text
    }
}
