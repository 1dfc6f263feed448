//! One field's value -> the rule that it breaks by itself, whatever else the object says (pure).

pub(crate) mod resources;

use std::ops::RangeInclusive;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::names;
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Ports that a process without privileges can listen on.
const PORTS: RangeInclusive<i32> = 1024..=65535;

/// The rule about the name of a Workspace.
pub fn name(name: &str) -> Vec<Violation> {
    let max = api::names::MAX_WORKSPACE_NAME;
    if names::is_dns_1035_label(name, max) {
        return Vec::new();
    }
    let rule = format!(
        "is not a valid name: use at most {max} lower-case letters, digits and '-', starting with a letter and ending \
         with a letter or digit"
    );
    vec![Violation::new("metadata.name", name, rule)]
}

/// Whether `image` can be an image or an alias at all.
pub fn image_syntax(field: &str, image: &str) -> Option<Violation> {
    let rule = if image.is_empty() {
        "is empty: name an image or an alias"
    } else if !image.starts_with(|c: char| c.is_ascii_alphanumeric())
        || image.contains(|c: char| !c.is_ascii_alphanumeric() && !"._-/:@+".contains(c))
    {
        "has characters that no image's name has: name an image such as registry.example.org/jupyter:1.0"
    } else {
        return None;
    };
    Some(Violation::new(field, image, rule))
}

/// Whether a home can be mounted at `path`.
pub(crate) fn mount_path(field: &str, path: &str) -> Option<Violation> {
    let usable = path.starts_with('/')
        && !path.trim_matches('/').is_empty()
        && !path.contains(|c: char| c == ':' || c.is_control())
        && !path.split('/').any(|segment| segment == "..");
    (!usable).then(|| {
        Violation::new(
            field,
            path,
            "is no place for a disk: use an absolute path below /, without ':' and '..'",
        )
    })
}

/// Whether `raw` is a quantity above zero.
pub(crate) fn positive(field: &str, raw: &RawQuantity) -> Option<Violation> {
    let rule = match Quantity::try_from(raw) {
        Ok(value) if value.is_negative() || value.is_zero() => "is no size: ask for more than 0".to_owned(),
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    Some(Violation::new(field, &raw.0, rule))
}

/// Whether an application can listen on `port`.
pub(crate) fn port(field: &str, port: i32) -> Option<Violation> {
    (!PORTS.contains(&port)).then(|| port_violation(field, port))
}

pub(crate) fn port_violation(field: &str, port: i32) -> Violation {
    let rule = format!(
        "is no port for an application: choose one from {} to {}",
        PORTS.start(),
        PORTS.end()
    );
    Violation::new(field, port.to_string(), rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_below_the_root() {
        for path in ["/home/jovyan", "/data", "/a..b"] {
            assert_eq!(mount_path("p", path), None, "{path}");
        }
        for path in ["", "home", "/", "//", "/a:b", "/a/..", "/a\0"] {
            assert!(mount_path("p", path).is_some(), "{path:?}");
        }
    }
}
