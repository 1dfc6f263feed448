//! user and workspaces -> the first page of the auth host (pure).

use axum::response::Response;
use http::header::REFRESH;
use http::{HeaderValue, StatusCode};

use super::identity::{Offer, offered};
use super::message::{Action, Message, Part, Row, Tone};
use crate::index::{Domain, Target};
use api::workspace::Phase;

/// Heading of workspaces that others share with a user. These rows name the owner.
pub const SHARED: &str = "Shared with you";

/// The signed-in user.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Kubernetes user name.
    pub user_name: &'a str,
    /// Title of the provider that confirmed the user; `None` when it is not known any more.
    pub provider: Option<&'a str>,
    /// Origins of the providers' sign-out pages, which the form redirects to.
    pub leads_to: &'a str,
}

/// The workspaces that a user may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf<'a> {
    /// Lists with their headings; none is empty.
    pub groups: Vec<(&'static str, Vec<&'a Target>)>,
    /// Number of workspaces that are not listed.
    pub left_out: usize,
    /// Whether public workspaces are omitted, because roles decide about them.
    pub without_public: bool,
}

/// The page for a signed-in user. `shelf`: `None` when the user's access is not known at the moment.
pub fn signed_in(domain: &Domain, account: Account<'_>, shelf: Option<&Shelf<'_>>) -> Response {
    let portal = domain
        .portal_origin()
        .map(|origin| Part::Actions(vec![Action::link(format!("{origin}/"), "Open the portal")]));
    let mut parts: Vec<Part> = portal.into_iter().collect();
    parts.extend(match shelf {
        Some(shelf) => listed(domain, shelf),
        None => vec![Part::Soft(
            "Your workspaces cannot be listed at the moment. Reload this page in a few seconds.".to_owned(),
        )],
    });
    parts.push(Part::Actions(vec![
        sign_out("Sign out", false),
        sign_out("Sign out everywhere", true),
    ]));
    parts.push(Part::Soft(
        "Signing out closes your workspaces in this browser; signing out everywhere closes them in all browsers. They continue to run. \
         Where another browser is still signed in at the identity provider, one click there signs in again: sign out there as well."
            .to_owned(),
    ));
    Message {
        kind: "Account",
        tone: Tone::Good,
        parts,
        forms_to: Some(account.leads_to.to_owned()),
        ..Message::new("SignedIn", "You are signed in", account.sentence())
    }
    .respond(StatusCode::OK)
}

/// The page for a user who is not signed in.
pub fn signed_out(offers: &[Offer<'_>]) -> Response {
    Message {
        kind: "Account",
        parts: offered(offers),
        ..Message::new(
            "SignedOut",
            "You are signed out",
            "Sign in to see your workspaces, or open the address of one.",
        )
    }
    .respond(StatusCode::OK)
}

/// How a user changes the account, with the sealed target.
#[derive(Debug, Clone, Copy)]
pub enum Another<'a> {
    /// The provider asks which account to use.
    Choosing(&'a str),
    /// The provider has one account at a time, so its session ends first. Without target when that is too long for the provider.
    SigningOut(Option<&'a str>),
}

/// As [`super::denied`], for a user on the auth host. Only there may pages name users.
pub fn denied_to(domain: &Domain, account: Account<'_>, another: Another<'_>) -> Response {
    let text = "Use another account";
    let is_lost = matches!(another, Another::SigningOut(None));
    let hint = is_lost.then(|| {
        Part::Soft("After you have signed in with another account, open the link again.".to_owned())
    });
    let another = match another {
        Another::Choosing(sealed) => Action::link(format!("/enter?t={sealed}&as=another"), text),
        Another::SigningOut(sealed) => {
            let then = sealed.map(|sealed| ("then", sealed.to_owned()));
            Action::post("/sign-out", then.into_iter().collect(), text)
        }
    };
    let actions = vec![another, sign_out("Sign out", false)];
    Message {
        parts: [
            Part::Soft(super::HOW_TO_GET_IN.to_owned()),
            Part::Soft(account.sentence()),
        ]
        .into_iter()
        .chain(hint)
        .chain([Part::Actions(actions)])
        .collect(),
        forms_to: Some(account.leads_to.to_owned()),
        ..super::refusal(domain)
    }
    .respond(StatusCode::FORBIDDEN)
}

impl Account<'_> {
    fn sentence(&self) -> String {
        match self.provider {
            Some(provider) => format!("You are {}, signed in with {provider}.", self.user_name),
            None => format!("You are {}.", self.user_name),
        }
    }
}

/// For a user who signed out to return as another user. `to`: path of the gateway that begins the login. It is not a redirect,
/// because browsers apply the policy of the form's page to all following redirects, and a provider may redirect anywhere.
pub fn on_to_another(to: &str) -> Response {
    let message = Message::new(
        "SignedOut",
        "You are signed out",
        "You can sign in as another user now.",
    );
    passing(message, to, "Sign in")
}

/// For a user who signed out in the portal. `to`: the provider's sign-out, or the first page of the sign-in host. It is not a redirect,
/// because browsers apply the policy of the portal's page to it.
pub fn signing_out(to: &str) -> Response {
    let message = Message::new(
        "SigningOut",
        "Signing out",
        "Your browser continues automatically. Running workspaces continue to run.",
    );
    passing(message, to, "Continue")
}

/// A page from which the browser loads `to` at once. `text`: that of a link, for browsers that do not.
fn passing(message: Message, to: &str, text: &str) -> Response {
    let mut response = Message {
        kind: "Account",
        parts: vec![Part::Actions(vec![Action::link(to, text)])],
        ..message
    }
    .respond(StatusCode::OK);
    if let Ok(next) = HeaderValue::try_from(format!("0;url={to}")) {
        response.headers_mut().insert(REFRESH, next);
    }
    response
}

/// A button that sends a POST to `/sign-out`. Browsers apply form-action to the following redirect as well.
fn sign_out(button: &str, everywhere: bool) -> Action {
    Action::Form {
        get: false,
        to: "/sign-out".to_owned(),
        fields: if everywhere {
            vec![("everywhere", "yes".to_owned())]
        } else {
            vec![]
        },
        button: button.to_owned(),
        plain: true,
    }
}

fn listed(domain: &Domain, shelf: &Shelf<'_>) -> Vec<Part> {
    let rows = |title: &str, targets: &[&Target]| {
        let rows = targets.iter().map(|target| row(domain, target, title == SHARED));
        rows.collect()
    };
    let mut parts: Vec<Part> = shelf
        .groups
        .iter()
        .map(|(title, targets)| Part::List {
            title,
            rows: rows(title, targets),
        })
        .collect();
    let mut note = |text: String| parts.push(Part::Soft(text));
    if shelf.groups.is_empty() {
        note("You have no workspaces, and none is shared with you.".to_owned());
    }
    if shelf.left_out > 0 {
        note(format!(
            "{} more are not listed. Each opens at its own address.",
            shelf.left_out
        ));
    }
    if shelf.without_public {
        note("Workspaces that are open to everybody are not listed. They open at their address.".to_owned());
    }
    parts
}

fn row(domain: &Domain, target: &Target, with_owner: bool) -> Row {
    Row {
        to: format!("{}/", domain.address(&target.site)),
        name: target.called(),
        within: if with_owner {
            format!("{}, owned by {}", target.namespace, target.owner)
        } else {
            target.namespace.clone()
        },
        state: match target.phase {
            Phase::Running => "Running",
            Phase::Starting => "Starting",
            Phase::Stopping => "Stopping",
            Phase::Stopped => "Stopped",
            Phase::Failed => "Cannot run",
            Phase::Invalid => "Not valid",
            Phase::Deleting => "Being deleted",
        },
    }
}
