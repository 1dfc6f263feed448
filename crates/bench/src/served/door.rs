//! Bytes of an answer -> the door before a bare server, and a request with an assertion (IO).

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{env, fs, net};

use anyhow::Context as _;
use kit::assertion_signer::Claims;

use super::{announce, signer};
use crate::load::Question;

/// UID of the workspace.
const UID: &str = "6b1f6e2c-6f0f-4b0e-9a53-1f6d3a1d7c11";

/// Becomes the door, as an image starts it.
pub(super) fn serve(bytes: usize) -> anyhow::Result<()> {
    let program = env::current_exe()?;
    let folder = program.with_file_name("bench-door");
    fs::create_dir_all(&folder)?;
    let signer = signer()?;
    fs::write(folder.join(api::names::GATEWAY_KEYS), signer.key_set())?;
    let now = jiff::Timestamp::now().as_second();
    let claims = Claims {
        ends: now + 3600,
        ..Claims::new(api::names::GATEWAY, UID, "alice", now)
    };
    let question = Question {
        path: "/api/contents?content=0".to_owned(),
        headers: vec![(api::names::ASSERTION_HEADER.to_owned(), signer.sign(&claims)?)],
        body: None,
    };
    // A port that is free now. The door itself takes none of the system's choice.
    let address = net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    announce(address, vec![("attested", question)])?;
    let error = Command::new(program.with_file_name("door"))
        .env(api::names::ASSERTION_KEYS_VARIABLE, &folder)
        .env(api::names::UID_VARIABLE, UID)
        .args(["--listen", &address.port().to_string(), "--socket"])
        .arg(folder.join("application.sock"))
        // The measurement kills the door, which can then not end the application.
        .args(["--", "setpriv", "--pdeathsig", "KILL"])
        .arg(&program)
        .args(["serve", "bare", "plain", &bytes.to_string(), "{socket}"])
        .exec();
    Err(error).context("no door is beside this program; `./justw bench` builds both")
}
