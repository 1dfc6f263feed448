//! User, shell commands -> these on a machine where the user has signed in (IO).
//!
//! `$CONFIG` is the configuration of ssh. It is for measurements where no browser is at hand.

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let (user, commands) = words
        .next()
        .zip(words.next())
        .context("usage: machine USER COMMANDS")?;
    let machine = e2e::remote::Machine::signed_in(&user, &e2e::http::HttpSession::new()?).await?;
    print!("{}", machine.run(&commands).await?);
    Ok(())
}
