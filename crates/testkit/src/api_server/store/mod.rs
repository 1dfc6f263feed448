//! Request and stored object -> object as an API server would store it (pure).
//!
//! It supports apply, merge patch, JSON patch and delete. It models only behaviour that our processes rely on:
//!
//! - Generation and `resourceVersion` change only with the object.
//! - A field that its applier omits is removed.
//! - Ports of a Service are merged by number.
//! - `uid` and `resourceVersion` in a request are preconditions.
//! - An object with finalizers outlives its deletion.
//! - All pages of a list show the objects as they were at its first page.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Why a request is refused: HTTP code, reason, message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// HTTP status code.
    pub(super) code: u16,
    /// `reason` of the `Status` object.
    pub(super) reason: &'static str,
    /// `message` of the `Status` object.
    pub(super) message: String,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
        }
    }

    pub(super) fn not_found(path: &str) -> Self {
        Self::new(404, "NotFound", format!("{path} not found"))
    }
}

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// `resourceVersion` after the change.
    pub(super) version: u64,
    /// Path of the object.
    pub(super) path: String,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) type_: &'static str,
    /// The object after the change. For a deleted object, its last state.
    pub(super) object: Value,
    /// The object before the change.
    pub(super) before: Option<Value>,
}

/// One stored object.
#[derive(Clone, Debug)]
struct Stored {
    object: Value,
    /// The last applied configuration of each field manager.
    applied: BTreeMap<String, Value>,
}

/// All objects by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    /// What is left of lists that were returned in pages, by token: their version and objects.
    rests: BTreeMap<String, (u64, Vec<Value>)>,
    objects: BTreeMap<String, Stored>,
    history: Vec<Change>,
    version: u64,
    uids: u64,
}

impl Store {
    /// The object at `path`.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.objects.get(path).map(|stored| stored.object.clone())
    }

    /// All objects whose path is one segment below `collection`. A path such as `/api/v1/pods` means all namespaces.
    pub(super) fn list(&self, collection: &str) -> Vec<Value> {
        self.objects
            .iter()
            .filter(|(path, _)| Self::is_in(path, collection))
            .map(|(_, stored)| stored.object.clone())
            .collect()
    }

    /// The first `limit` of these objects as a list, with the token of the next page.
    pub(super) fn page(&mut self, version: u64, mut objects: Vec<Value>, limit: usize) -> Value {
        let rest = objects.split_off(limit.min(objects.len()));
        let mut meta = json!({"resourceVersion": version.to_string()});
        if let Some(first) = rest.first() {
            let token = format!(
                "{version}-{}",
                first["metadata"]["uid"].as_str().unwrap_or_default()
            );
            meta["continue"] = json!(token);
            self.rests.insert(token, (version, rest));
        }
        json!({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": objects})
    }

    /// The version and the remaining objects of the list of this token.
    pub(super) fn rest(&mut self, token: &str) -> Result<(u64, Vec<Value>), Refusal> {
        let message = "The provided continue parameter is too old";
        self.rests
            .remove(token)
            .ok_or_else(|| Refusal::new(410, "Expired", message))
    }

    /// Whether the object at `path` is in `collection`, which covers one namespace or all.
    pub(super) fn is_in(path: &str, collection: &str) -> bool {
        collection_of(path) == collection || cluster_collection_of(path) == collection
    }

    /// `resourceVersion` of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// All changes after `version`, oldest first.
    pub(super) fn changes_since(&self, version: u64) -> impl Iterator<Item = &Change> {
        self.history.iter().filter(move |change| change.version > version)
    }

    /// Stores an object as it is, like another component of the cluster would. Fills in missing server-side metadata.
    pub(super) fn put(&mut self, path: &str, mut object: Value) {
        let existing = self.objects.remove(path);
        let uid = existing
            .as_ref()
            .and_then(|stored| stored.object["metadata"]["uid"].as_str().map(str::to_owned));
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned).or(uid);
        let generation = existing.as_ref().map_or_else(
            || json!(1),
            |stored| stored.object["metadata"]["generation"].clone(),
        );
        if object["metadata"]["generation"].is_null() {
            object["metadata"]["generation"] = generation;
        }
        object["metadata"]["uid"] = json!(uid.unwrap_or_else(|| self.next_uid()));
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let before = existing.as_ref().map(|stored| stored.object.clone());
        let type_ = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.happened(path, type_, &mut object, before);
        let applied = existing.map(|stored| stored.applied).unwrap_or_default();
        self.objects.insert(path.to_owned(), Stored { object, applied });
    }

    /// Deletes an object, even if it has finalizers.
    pub(super) fn remove(&mut self, path: &str) -> Option<Value> {
        let gone = self.objects.remove(path)?.object;
        self.happened(path, "DELETED", &mut gone.clone(), Some(gone.clone()));
        Some(gone)
    }

    /// Counts a change, writes its number into the object, and records it for watches.
    fn happened(&mut self, path: &str, type_: &'static str, object: &mut Value, before: Option<Value>) {
        // Like with etcd, the first object has version 2.
        self.version = self.version.max(1) + 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push(Change {
            version: self.version,
            path: path.to_owned(),
            type_,
            object: object.clone(),
            before,
        });
    }

    /// `POST`: fails if the name exists.
    pub(super) fn create(&mut self, path: &str, object: Value) -> Result<Value, Refusal> {
        if self.objects.contains_key(path) {
            return Err(Refusal::new(
                409,
                "AlreadyExists",
                format!("{path} already exists"),
            ));
        }
        self.put(path, object);
        self.get(path).ok_or_else(|| Refusal::not_found(path))
    }

    /// `PATCH` with `application/apply-patch+yaml`. It removes fields of `manager` that the new intent omits,
    /// unless another manager owns them, too.
    pub(super) fn apply(
        &mut self,
        path: &str,
        status: bool,
        manager: &str,
        intent: Value,
    ) -> Result<Value, Refusal> {
        let Some(stored) = self.objects.get(path) else {
            if status {
                return Err(Refusal::not_found(path));
            }
            if let Some(uid) = intent["metadata"]["uid"].as_str() {
                return Err(Refusal::new(
                    409,
                    "Conflict",
                    format!("uid mismatch: {uid} is given, no object exists"),
                ));
            }
            // If the object does not exist, a `resourceVersion` in the request is ignored.
            self.put(path, intent.clone());
            if let Some(stored) = self.objects.get_mut(path) {
                stored.applied.insert(manager.to_owned(), intent);
            }
            return self.get(path).ok_or_else(|| Refusal::not_found(path));
        };
        check_preconditions(&stored.object, &intent)?;
        let intent = if status {
            json!({ "status": intent["status"] })
        } else {
            without_status(intent)
        };
        let mut next = stored.object.clone();
        let ports = ports(&next, stored.applied.get(manager), &intent)?;
        if let Some(before) = stored.applied.get(manager) {
            let others: Vec<_> = stored
                .applied
                .iter()
                .filter(|(name, _)| *name != manager)
                .map(|(_, v)| v)
                .collect();
            release(&mut next, before, &intent, &others);
        }
        merge(&mut next, &intent);
        if let Some(ports) = ports {
            next["spec"]["ports"] = ports;
        }
        self.write(path, next);
        if let Some(stored) = self.objects.get_mut(path) {
            stored.applied.insert(manager.to_owned(), intent);
        }
        self.get(path).ok_or_else(|| Refusal::not_found(path))
    }

    /// `PATCH` with a merge patch or a JSON patch.
    pub(super) fn patch(
        &mut self,
        path: &str,
        change: &Value,
        is_json_patch: bool,
    ) -> Result<Value, Refusal> {
        let stored = self.objects.get(path).ok_or_else(|| Refusal::not_found(path))?;
        let mut next = stored.object.clone();
        if is_json_patch {
            let operations: json_patch::Patch = serde_json::from_value(change.clone())
                .map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?;
            json_patch::patch(&mut next, &operations)
                .map_err(|error| Refusal::new(422, "Invalid", error.to_string()))?;
            // A version in the patch is a precondition for the stored version.
            check_preconditions(&stored.object, &next)?;
        } else {
            check_preconditions(&stored.object, change)?;
            json_patch::merge(&mut next, change);
        }
        self.write(path, next.clone());
        // The answer for an object that loses its last finalizer is its last state.
        Ok(self.get(path).unwrap_or(next))
    }

    /// `DELETE`: removes the object, or marks it while finalizers, a foreground deletion or a kubelet hold it.
    pub(super) fn delete(&mut self, path: &str, options: &Value) -> Result<Value, Refusal> {
        let stored = self.objects.get(path).ok_or_else(|| Refusal::not_found(path))?;
        check_preconditions(&stored.object, &json!({ "metadata": options["preconditions"] }))?;
        let mut next = stored.object.clone();
        if options["propagationPolicy"] == "Foreground" {
            let mut finalizers = next["metadata"]["finalizers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            finalizers.push(json!("foregroundDeletion"));
            next["metadata"]["finalizers"] = json!(finalizers);
        }
        if next["metadata"]["deletionTimestamp"].is_null() {
            next["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let before = stored.object.clone();
        if options["gracePeriodSeconds"] == 0 && is_held_by_kubelet(path, &next) {
            self.remove(path);
        } else {
            self.write(path, next);
        }
        // The answer for a removed object is its last state.
        Ok(self.get(path).unwrap_or(before))
    }

    fn write(&mut self, path: &str, mut next: Value) {
        let Some(before) = self.get(path) else {
            return;
        };
        // A precondition in the request is no change.
        next["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if next == before {
            return;
        }
        if next["spec"] != before["spec"]
            || next["metadata"]["deletionTimestamp"] != before["metadata"]["deletionTimestamp"]
        {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
            next["metadata"]["generation"] = json!(generation + 1);
        }
        let held = next["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|finalizers| !finalizers.is_empty())
            || is_held_by_kubelet(path, &next);
        if !next["metadata"]["deletionTimestamp"].is_null() && !held {
            self.remove(path);
            return;
        }
        self.happened(path, "MODIFIED", &mut next, Some(before));
        if let Some(stored) = self.objects.get_mut(path) {
            stored.object = next;
        }
    }

    fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-0000-0000-{:012}", self.uids)
    }
}

/// `/api/v1/namespaces/a/pods/b` -> `/api/v1/namespaces/a/pods`.
fn collection_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(collection, _)| collection)
}

/// `/api/v1/namespaces/a/pods/b` -> `/api/v1/pods`.
fn cluster_collection_of(path: &str) -> String {
    let collection = collection_of(path);
    match collection
        .split_once("/namespaces/")
        .and_then(|(root, rest)| Some((root, rest.split_once('/')?.1)))
    {
        Some((root, plural)) => format!("{root}/{plural}"),
        None => collection.to_owned(),
    }
}

/// Whether a deleted pod stays until a test removes it, as its kubelet does. One that has no node or has ended goes at once.
fn is_held_by_kubelet(path: &str, object: &Value) -> bool {
    let phase = &object["status"]["phase"];
    let is_bound = object["spec"]["nodeName"].is_string() || *phase == "Running";
    path.contains("/pods/") && is_bound && *phase != "Failed" && *phase != "Succeeded"
}

fn without_status(mut intent: Value) -> Value {
    if let Some(fields) = intent.as_object_mut() {
        fields.remove("status");
    }
    intent
}

fn check_preconditions(object: &Value, request: &Value) -> Result<(), Refusal> {
    if request["metadata"].get("resourceVersion") == Some(&Value::Null) {
        let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        return Err(Refusal::new(422, "Invalid", message.to_owned()));
    }
    for field in ["uid", "resourceVersion"] {
        let wanted = &request["metadata"][field];
        if !wanted.is_null() && *wanted != object["metadata"][field] {
            let message = format!("{field} {wanted} is not {}", object["metadata"][field]);
            return Err(Refusal::new(409, "Conflict", message));
        }
    }
    Ok(())
}

/// The ports of a Service after an apply, as a list by number and protocol.
/// Ports that the manager applied before and now omits are removed. Ports from other writers stay. A duplicate name is refused.
fn ports(object: &Value, before: Option<&Value>, intent: &Value) -> Result<Option<Value>, Refusal> {
    let list = |object: &Value| object["spec"]["ports"].as_array().cloned();
    let Some(wanted) = list(intent).filter(|_| object["kind"] == "Service") else {
        return Ok(None);
    };
    let among = |all: &[Value], one: &Value| {
        let same = |other: &Value| (&other["port"], &other["protocol"]) == (&one["port"], &one["protocol"]);
        all.iter().any(same)
    };
    let released = before.and_then(list).unwrap_or_default();
    let mut ports = list(object).unwrap_or_default();
    ports.retain(|port| !among(&wanted, port) && !among(&released, port));
    ports.extend(wanted);
    let mut names: Vec<_> = ports.iter().map(|port| port["name"].to_string()).collect();
    names.sort();
    if names.windows(2).any(|two| two[0] == two[1]) {
        let message = "Service is invalid: spec.ports[1].name: Duplicate value";
        return Err(Refusal::new(422, "Invalid", message));
    }
    Ok(Some(json!(ports)))
}

/// Merges `intent` into `object`: maps are merged, all other values are replaced.
fn merge(object: &mut Value, intent: &Value) {
    let Some(fields) = intent.as_object() else {
        *object = intent.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Some(target) = object.as_object_mut() {
        for (key, value) in fields {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// Removes from `object` what `before` contains, `after` omits and no other manager applied.
fn release(object: &mut Value, before: &Value, after: &Value, others: &[&Value]) {
    let (Some(target), Some(before)) = (object.as_object_mut(), before.as_object()) else {
        return;
    };
    for (key, old) in before {
        let others: Vec<_> = others.iter().filter_map(|other| other.get(key)).collect();
        match after.get(key) {
            Some(new) => {
                if let Some(inner) = target.get_mut(key) {
                    release(inner, old, new, &others);
                }
            }
            None if others.is_empty() => {
                target.remove(key);
            }
            None => {}
        }
    }
}
