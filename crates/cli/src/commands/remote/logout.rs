//! Sign-ins that are kept -> fewer of them, and ended login sessions (IO).

use super::destination::installations;
use crate::args::Logout;
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::address::Address;
use crate::remote::gateway::SignedIn;
use crate::remote::state::{SignIn, State};

/// Forgets a sign-in; with `--everywhere` also ends its login session.
pub(super) async fn run(args: &Logout, console: &mut Console<'_>) -> Result<(), Failure> {
    let state = State::of_user()?;
    let kept = state.sign_ins()?;
    if kept.is_empty() {
        writeln!(console.err, "You are signed in nowhere.")?;
        return Ok(());
    }
    let sign_in = chosen(args, kept)?;
    let signed_in = SignedIn::new(sign_in, state.clone())?;
    let base = signed_in.sign_in.auth.base();
    let token = &signed_in.sign_in.token;
    let ended = args.everywhere && signed_in.gateway().sign_out(token).await?;
    let what = match (args.everywhere, ended) {
        (true, true) => "in the browser and in all programs",
        (true, false) => "on this computer; its session had ended before",
        (false, _) => "on this computer; that ends neither the browser's session nor open connections",
    };
    state.remove(&signed_in.sign_in.auth)?;
    Ok(writeln!(console.out, "signed out of {base} {what}")?)
}

/// The sign-in of the URL, or the only one.
fn chosen(args: &Logout, mut kept: Vec<SignIn>) -> Result<SignIn, Failure> {
    let all = installations(&kept);
    let Some(url) = &args.url else {
        return match (kept.pop(), kept.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(Failure::Usage(format!("which one? give its address: {all}"))),
        };
    };
    let candidates = Address::parse(url)
        .map_err(Failure::Usage)?
        .place
        .auth_candidates();
    let found = kept
        .into_iter()
        .find(|sign_in| candidates.contains(&sign_in.auth));
    found.ok_or_else(|| Failure::Usage(format!("you are not signed in at {url}, but at {all}")))
}
