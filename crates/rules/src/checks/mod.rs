//! Value of one field -> the rule that it breaks on its own (pure).
//!
//! These checks need no other field of the object.
//!
//! - `image`: names of images
//! - `networks`: networks that are excluded from the public internet
//! - `resources`: requests and limits
//! - `syntax`: names, keys and values of Kubernetes

pub(crate) mod image;
pub mod networks;
pub(crate) mod resources;
pub(crate) mod syntax;

use std::ops::RangeInclusive;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use k8s_openapi::jiff::Timestamp;

use crate::names;
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Ports that an unprivileged process can listen on.
const PORTS: RangeInclusive<i32> = 1024..=65535;
/// Checks the name of a Workspace.
pub fn name(name: &str) -> Vec<Violation> {
    let max = api::names::MAX_WORKSPACE_NAME;
    if names::is_dns_1035_label(name, max) {
        return Vec::new();
    }
    let rule = format!(
        "must be a name of at most {max} lower-case letters, digits and '-', starting with a letter and ending with a \
         letter or digit"
    );
    vec![Violation::new("metadata.name", name, rule)]
}

/// Checks the name of an object.
pub fn object_name(name: &str) -> Option<Violation> {
    let rule = "must be a name of at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
    (!names::is_dns_1123_subdomain(name)).then(|| Violation::new("metadata.name", name, rule))
}

/// Checks the name of a namespace.
pub fn namespace(field: &str, name: &str) -> Option<Violation> {
    syntax::label_name(field, name)
}

/// Checks that `image` can be an image or an alias. A name without `/`, `:` and `@` may be an alias, which the administrator chooses.
pub fn image_syntax(field: &str, image: &str) -> Option<Violation> {
    let rule = if image.is_empty() {
        "is empty: name an image or an alias"
    } else if !image.starts_with(|c: char| c.is_ascii_alphanumeric())
        || image.contains(|c: char| !c.is_ascii_alphanumeric() && !"._-/:@+".contains(c))
    {
        "has characters that no image's name has: name an image such as registry.example.org/jupyter:1.0"
    } else if image.contains(['/', ':', '@', '+']) && !image::is_reference(image) {
        "must be [registry[:port]/]name[:tag][@sha256:digest] with the name in lower case, such as registry.example.org/jupyter:1.0"
    } else {
        return None;
    };
    Some(Violation::new(field, image, rule))
}

/// Folders that every program needs to start. Nothing may be mounted there or below.
const SYSTEM_FOLDERS: [&str; 14] = [
    "/proc",
    "/sys",
    "/dev",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/boot",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
];
/// Folders of the image that a disk would hide completely. Mounts below them are allowed.
const IMAGE_FOLDERS: [&str; 4] = ["/etc", "/usr", "/var", "/run"];

/// Checks that a disk or folder can be mounted at `path`.
pub(crate) fn mount_path(field: &str, path: &str) -> Option<Violation> {
    let normal = normal_path(path);
    let usable = path.starts_with('/')
        && normal != "/"
        && path.len() <= 255
        && !path.contains(|c: char| c == ':' || c.is_control())
        && !path.split('/').any(|segment| segment == "..");
    let rule = if !usable {
        "must be an absolute path below /, without ':' and '..'"
    } else if SYSTEM_FOLDERS
        .iter()
        .any(|folder| is_at_or_below(&normal, folder))
    {
        "belongs to the system of the container: choose a path such as /data, outside of the folders of programs, libraries and \
         devices (/bin, /sbin, /lib, /usr/bin, /usr/lib, /boot, /proc, /sys, /dev)"
    } else if IMAGE_FOLDERS.contains(&normal.as_str()) {
        "would hide what the image has there, without which nothing starts: choose a folder below it, or a path such as /data"
    } else {
        return None;
    };
    Some(Violation::new(field, path, rule))
}

/// Returns `path` as the container sees it: without doubled or trailing slashes, and without `.` segments.
pub(crate) fn normal_path(path: &str) -> String {
    let segments: Vec<_> = path
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".")
        .collect();
    format!("/{}", segments.join("/"))
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks that `raw` is the size of a disk.
pub(crate) fn size(field: &str, raw: &RawQuantity) -> Option<Violation> {
    size_of(field, raw, "disk")
}

/// Checks that `raw` is a size for shared memory.
pub(crate) fn shm_size(field: &str, raw: &RawQuantity) -> Option<Violation> {
    size_of(field, raw, "shared memory")
}

fn size_of(field: &str, raw: &RawQuantity, what: &str) -> Option<Violation> {
    const LEAST: Quantity = Quantity::units(1 << 20);
    const MAX_QUANTITY: Quantity = Quantity::units(1 << 50);
    let rule = match Quantity::try_from(raw) {
        Ok(value) if value.is_negative() || value.is_zero() => "must be more than 0".to_owned(),
        Ok(value) if value < LEAST => {
            format!("is smaller than any {what}: ask for at least 1Mi, and mind the unit, such as Gi")
        }
        Ok(value) if value > MAX_QUANTITY => format!("is larger than any {what}: ask for at most 1Pi"),
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    Some(Violation::new(field, &raw.0, rule))
}

/// Checks that an application can listen on `port`.
pub(crate) fn port(field: &str, port: i32) -> Option<Violation> {
    (!PORTS.contains(&port)).then(|| port_violation(field, port))
}

pub(crate) fn port_violation(field: &str, port: i32) -> Violation {
    let rule = format!("must be a port from {} to {}", PORTS.start(), PORTS.end());
    Violation::new(field, port.to_string(), rule)
}

/// Checks the value of the annotation that requests a restart. `kubectl rollout restart` writes such a time.
pub fn restarted_at(field: &str, time: &str) -> Option<Violation> {
    let rule = "must be a time by RFC 3339, such as 2026-01-31T12:00:00Z (date -u +%FT%TZ)";
    let is_time = time.parse::<Timestamp>().is_ok();
    (!is_time).then(|| Violation::new(field, time, rule))
}

/// Maximum length of a user name, in bytes.
const MAX_USER_NAME: usize = 1024;

/// Checks a user name that another user writes.
pub fn user_name(field: &str, name: &str) -> Option<Violation> {
    let rule = if name.len() > MAX_USER_NAME {
        format!(
            "has {} bytes, more than the maximum {MAX_USER_NAME}: name a user as Kubernetes knows them",
            name.len()
        )
    } else if name.contains(is_deceptive) || name.trim() != name {
        "has characters that cannot be seen: name a user as Kubernetes knows them".to_owned()
    } else {
        return None;
    };
    Some(Violation::new(field, name, rule))
}

/// Whether a character is invisible, or makes text look different from what it is.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
