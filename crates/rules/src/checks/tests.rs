//! Values of fields -> violations (tests).

use super::*;

#[test]
fn sizes_are_neither_bytes_nor_beyond_all_disks() {
    let of = |text: &str| size("s", &RawQuantity(text.to_owned())).map(|it| it.to_string());
    for fine in ["1Mi", "10Gi", "1.3Gi", "1Pi", "5e9"] {
        assert_eq!(of(fine), None, "{fine}");
    }
    for (faulty, word) in [
        ("0", "more than 0"),
        ("-1Gi", "more than 0"),
        ("1", "at least 1Mi"),
        ("500m", "at least 1Mi"),
        ("10", "mind the unit"),
        ("1Ei", "at most 1Pi"),
        ("9e18", "at most 1Pi"),
        ("x", "must be a quantity"),
    ] {
        let message = of(faulty).unwrap();
        assert!(message.contains(word) && message.contains(faulty), "{message}");
    }
}

#[test]
fn a_restart_is_requested_by_a_time() {
    for fine in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"] {
        assert_eq!(restarted_at("a", fine), None, "{fine}");
    }
    for faulty in [
        "",
        "now",
        "1",
        "2026-01-31",
        "2026-13-31T12:00:00Z",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00Z\n",
    ] {
        assert!(restarted_at("a", faulty).is_some(), "{faulty:?}");
    }
}

#[test]
fn user_names_with_invisible_characters_are_refused() {
    for fine in [
        "alice",
        "system:serviceaccount:a:b",
        "https://idp.example/#Ünal O'Neill",
        "a b",
    ] {
        assert_eq!(user_name("a", fine), None, "{fine}");
    }
    let long = "a".repeat(1025);
    for faulty in ["a\n", "a\u{202e}b", "a\u{200b}", " a", "\u{feff}a", long.as_str()] {
        assert!(user_name("a", faulty).is_some(), "{faulty:?}");
    }
}

#[test]
fn paths_are_absolute_and_below_the_root() {
    for path in [
        "/home/jovyan",
        "/data",
        "/a..b",
        "/etc/keys",
        "/usr/local/share",
        "/var/lib/data",
        "/run/secrets/x",
        "/binary",
        "/library",
        "/home",
        "/opt",
    ] {
        assert_eq!(mount_path("p", path), None, "{path}");
    }
    for path in [
        "",
        "home",
        "/",
        "//",
        "/a:b",
        "/a/..",
        "/a\0",
        "/.",
        "/proc",
        "/sys/fs",
        "/dev/shm",
        "//dev/",
        "/etc",
        "/etc/",
        "/usr",
        "/usr/bin",
        "/usr/lib/python3",
        "/bin",
        "/lib64",
        "/var",
        "/run",
        "/boot/x",
        "/./etc/.",
    ] {
        assert!(mount_path("p", path).is_some(), "{path:?}");
    }
    assert_eq!(mount_path("p", "/device"), None);
}

#[test]
fn equal_paths_have_one_normal_form() {
    for path in ["/a/b", "/a//b/", "//a/./b", "/a/b/."] {
        assert_eq!(normal_path(path), "/a/b");
    }
}
