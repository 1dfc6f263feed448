//! websocket -> a process of sshd whose input and output are its bytes (IO).
//!
//! - `image`: the pod's user, home and environment -> sshd's command line, or why it cannot run
//! - `config`: environment -> sshd's settings
//! - `places`: caller -> whether there is a place
//! - `session`: an open websocket and a process -> bytes both ways
//!
//! The gateway passes on no content of pods. So a connection that cannot be is opened, and its close frame has the reason's code.

mod config;
mod image;
mod places;
mod session;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::{
    CONNECTION, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub(crate) use self::image::Image;
use self::image::Unavailable;
use self::places::{Place, Places};
use crate::activity::Activity;
use crate::answers::{Body, empty, problem};
use crate::caller::Caller;
use crate::permit::ConnectionPermit;

type Prepare = Box<dyn Fn() -> BoxFuture<'static, Result<Command, Unavailable>> + Send + Sync>;

/// Answers ssh connections.
pub(crate) struct Ssh {
    prepare: Prepare,
    activity: Arc<Activity>,
    places: Places,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").finish_non_exhaustive()
    }
}

impl Ssh {
    /// With the sshd of this image.
    pub(crate) fn new(image: Image, activity: Arc<Activity>) -> Self {
        let image = Arc::new(image);
        let prepare = move || -> BoxFuture<'static, _> {
            let image = Arc::clone(&image);
            Box::pin(async move { image.command().await })
        };
        Self::with(prepare, activity)
    }

    /// With any program. `prepare` gives its command line for each connection.
    pub(crate) fn with(
        prepare: impl Fn() -> BoxFuture<'static, Result<Command, Unavailable>> + Send + Sync + 'static,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            prepare: Box::new(prepare),
            activity,
            places: Places::default(),
        }
    }

    /// The answer to a websocket handshake. The reason why there is no ssh comes by the websocket.
    pub(crate) async fn answer(&self, mut request: Request<Incoming>, caller: &Caller) -> Response<Body> {
        let accept = match accept_key(request.method(), request.headers()) {
            Ok(accept) => accept,
            Err(refusal) => return *refusal,
        };
        let started = self.start(caller).await;
        let connection = request.extensions_mut().remove::<ConnectionPermit>();
        let upgrade = hyper::upgrade::on(&mut request);
        let activity = Arc::clone(&self.activity);
        tokio::spawn(async move {
            if let Ok(socket) = upgrade.await {
                let socket = TokioIo::new(socket);
                match started {
                    Ok((place, process, stream)) => {
                        session::run(socket, stream, process, &activity, &place).await;
                    }
                    Err(why) => session::refuse(socket, why.refusal()).await,
                }
            }
            drop(connection);
        });
        let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        answer
    }

    /// Starts sshd for this caller. Why it cannot is in the container's log, too.
    async fn start(&self, caller: &Caller) -> Result<(Place, Child, UnixStream), Unavailable> {
        let place = self.places.take(caller)?;
        let command = (self.prepare)().await;
        let started =
            command.and_then(|mut command| session::start(&mut command).map_err(Unavailable::Start));
        let (process, stream) = started.inspect_err(|why| eprintln!("door: {why}"))?;
        Ok((place, process, stream))
    }
}

/// The value that accepts a websocket handshake, or a refusal.
fn accept_key(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Box<Response<Body>>> {
    let refusal = |status, reason, message| Err(Box::new(problem(status, reason, message)));
    // Browsers send it with each handshake. A page that is open in a browser must get no shell, and no ssh client is a page.
    if headers.contains_key(ORIGIN) {
        let message = "ssh is for programs: the request must have no Origin header.";
        return refusal(StatusCode::FORBIDDEN, "NotForPages", message);
    }
    let says = |name, word: &str| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut words = values.flat_map(|value| value.split(','));
        words.any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let websocket = method == Method::GET && says(UPGRADE, "websocket") && says(CONNECTION, "upgrade");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() <= 64);
    if let (true, true, Some(key)) = (websocket, says(SEC_WEBSOCKET_VERSION, "13"), key)
        && let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
    {
        return Ok(accept);
    }
    let message = "This address must be opened as a websocket of version 13. Its binary frames are the bytes of an ssh connection.";
    refusal(StatusCode::UPGRADE_REQUIRED, "NotAWebsocket", message)
}

#[cfg(test)]
pub(crate) mod tests;
