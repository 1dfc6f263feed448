//! The process of pods that only wait.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use operator::commands::pause;

/// Whether the process handles SIGTERM.
fn handles_sigterm(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    mask & (1 << 14) != 0
}

#[test]
fn a_pause_needs_no_setting_and_ends_at_once_when_it_is_told_to() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_jupyter-k8s-operator"))
        .arg(pause::NAME)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(30);
    while !handles_sigterm(process.id()) {
        assert!(Instant::now() < limit && process.try_wait().unwrap().is_none());
        thread::yield_now();
    }
    let told = Instant::now();
    let kill = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
}
