//! Variables with credentials -> references to Secrets, and the commands that make these (pure).

use std::fmt::Write as _;

use crate::path::Path;

/// A key of a Secret to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretKey {
    namespace: String,
    secret: String,
    key: String,
    /// Resource and name of the old object, and where in it the value is.
    old: String,
    at: String,
}

/// The Secrets of one source object after the other.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// By the object's number: namespace, name of its Secret, and how kubectl calls the object.
    owners: Vec<(usize, String, String, String)>,
    keys: Vec<SecretKey>,
}

impl Secrets {
    /// Says which Secret holds the credentials of an object.
    pub(super) fn name(&mut self, object: usize, namespace: &str, secret: String, old: String) {
        if self.owners.iter().all(|(known, ..)| *known != object) {
            self.owners.push((object, namespace.to_owned(), secret, old));
        }
    }

    /// The Secret that holds the variable; `None`: a Secret cannot have a key of this name.
    pub(super) fn take(&mut self, object: usize, name: &str, at: &Path) -> Option<String> {
        let is_key = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_key {
            return None;
        }
        let owner = self.owners.iter().find(|(known, ..)| *known == object);
        let (_, namespace, secret, old) = owner?;
        let key = SecretKey {
            namespace: namespace.clone(),
            secret: secret.clone(),
            key: name.to_owned(),
            old: old.clone(),
            at: at.to_string(),
        };
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        Some(secret.clone())
    }

    /// Commands that copy the values, without showing them.
    pub(super) fn commands(&self) -> String {
        let mut text = String::new();
        let mut rest = self.keys.as_slice();
        while let Some(first) = rest.first() {
            let same = |key: &&SecretKey| (&key.namespace, &key.secret) == (&first.namespace, &first.secret);
            let count = rest.iter().take_while(same).count();
            let (keys, others) = rest.split_at(count);
            rest = others;
            let _ = write!(
                text,
                "    kubectl -n {} create secret generic {} --dry-run=client -o yaml",
                first.namespace, first.secret
            );
            for SecretKey {
                namespace,
                key,
                old,
                at,
                ..
            } in keys
            {
                let _ = write!(
                    text,
                    " \\\n      --from-file={key}=<(kubectl -n {namespace} get {old} -o jsonpath='{{.{at}}}')"
                );
            }
            text.push_str(" \\\n      | kubectl apply --server-side -f -\n");
        }
        text
    }
}
