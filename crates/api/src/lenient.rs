//! JSON of a status, perhaps of another version -> the status, without unreadable values (pure).
//!
//! A newer operator writes values that an older gateway, webhook or operator does not know: during an upgrade, and after a rollback.
//! Such a value reads as absent, and all others count. A spec is never read so: what a user wants is not guessed.

use serde::{Deserialize as _, Deserializer};
use serde_json::Value;
use serde_path_to_error::{Path, Segment, Track};

/// Lenient reading for types with `#[serde(remote = "Self")]`, by which serde derives functions and no impls.
macro_rules! lenient {
    ($($status:ty),*) => {$(
        impl serde::Serialize for $status {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$status>::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $status {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::lenient::read(deserializer, |value| <$status>::deserialize(value))
            }
        }
    )*};
}
pub(crate) use lenient;

/// The type that derived code reads from.
pub(crate) type Tracked<'a, 'b> = serde_path_to_error::Deserializer<'a, 'b, &'a Value>;

/// Reads a status by `strictly`. Values that cannot be read are removed, one at a time.
pub(crate) fn read<'de, T, D>(
    deserializer: D,
    strictly: impl for<'a, 'b> Fn(Tracked<'a, 'b>) -> serde_json::Result<T>,
) -> Result<T, D::Error>
where
    T: Default,
    D: Deserializer<'de>,
{
    let mut status = Value::deserialize(deserializer)?;
    loop {
        let mut track = Track::new();
        if let Ok(read) = strictly(serde_path_to_error::Deserializer::new(&status, &mut track)) {
            return Ok(read);
        }
        if remove(&mut status, &track.path()).is_none() {
            return Ok(T::default());
        }
    }
}

/// Removes the value at the path. Removes nothing if the path is the whole document.
fn remove(status: &mut Value, path: &Path) -> Option<Value> {
    let mut place = status;
    let mut segments = path.iter().peekable();
    loop {
        let segment = segments.next()?;
        let is_last = !matches!(segments.peek(), Some(Segment::Map { .. } | Segment::Seq { .. }));
        match segment {
            Segment::Map { key } if is_last => return place.as_object_mut()?.remove(key),
            Segment::Map { key } => place = place.get_mut(key)?,
            Segment::Seq { index } if is_last => {
                let list = place.as_array_mut()?;
                return (*index < list.len()).then(|| list.remove(*index));
            }
            Segment::Seq { index } => place = place.get_mut(*index)?,
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Workspace, WorkspaceStatus};

    fn read(status: &serde_json::Value) -> WorkspaceStatus {
        let workspace = json!({"metadata": {"name": "w"}, "spec": {"displayName": "w"}, "status": status});
        serde_json::from_value::<Workspace>(workspace)
            .unwrap()
            .status
            .unwrap()
    }

    #[test]
    fn an_unknown_enum_value_is_absent_and_other_fields_are_read() {
        let status = read(&json!({
            "phase": "Hibernating", "runID": "r", "stopsBecause": "Whim", "observedGeneration": "many", "pendingUpdate": {"a": 1},
            "resolved": {"manager": "m", "accessType": "Friends", "storage": {"mountPath": "/h", "retain": "Snapshot"}},
            "disk": {"claimUID": "u", "replacesDeleted": "perhaps"},
        }));
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            json!({
                "runID": "r",
                "resolved": {"manager": "m", "storage": {"mountPath": "/h", "ephemeral": false}},
                "disk": {"claimUID": "u", "replacesDeleted": false},
            })
        );
    }

    #[test]
    fn an_object_without_a_required_field_is_absent() {
        let condition = json!({"type": "Valid", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = read(&json!({
            "endpoint": {"podName": "p", "podIP": "10.0.0.1", "port": "http"}, "runID": "r", "conditions": [7, condition],
        }));
        assert_eq!(status.endpoint, None);
        assert_eq!(status.run_id.as_deref(), Some("r"));
        assert_eq!(status.conditions.len(), 1);
    }

    #[test]
    fn an_invalid_status_reads_as_an_empty_one() {
        for odd in [json!("Running"), json!(7), json!([])] {
            assert_eq!(read(&odd), WorkspaceStatus::default());
        }
    }

    #[test]
    fn a_spec_is_read_strictly() {
        let workspace =
            json!({"metadata": {"name": "w"}, "spec": {"displayName": "w", "desiredStatus": "Hibernating"}});
        let error = serde_json::from_value::<Workspace>(workspace).unwrap_err();
        assert!(error.to_string().contains("Hibernating"), "{error}");
    }
}
