//! `/events` -> parts of a page, sent again when they change (IO).
//!
//! A list is made again when something changed that its user sees. A page about one workspace is read from the API server, so changes of
//! other objects cause no new read.
//! A stream ends after ten seconds. The browser then asks again: the gateway decides again whether the user is signed in, and the portal
//! reads rights and quotas again.
//!
//! `open_page.rs`: address of a stream -> the page that is open, when it is read again, and its parts as HTML.

mod open_page;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template as _;
use axum::extract::RawQuery;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::StatusCode;
use jiff::Timestamp;
use kit::limit::Permit;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::open_page::{Beside, OpenPage, PageParts};
use super::answers::plain;
use super::extract::{pairs, too_long};
use super::form::quotas::quotas;
use super::form::view::Quotas;
use super::list::Page;
use super::list::search::Search;
use super::may::May;
use super::namespace;
use crate::app::Context;
use crate::index::{Snapshot, hash};
use crate::views::Stale;
use crate::visible::{self, AccessScope, Visible};

/// How often a page about one workspace is read again for what is not in memory: Events, pods and usage. This holds while something
/// happens to the workspace or is wrong with it. And how long an open list waits for an answer about rights that did not come.
const INTERVAL: Duration = Duration::from_secs(5);
/// Minimum time between two reads of such a page, whatever changes.
const READ_PAUSE: Duration = Duration::from_secs(2);
/// How soon the browser asks again after the end of a stream.
const RETRY: Duration = Duration::from_millis(250);

/// What became of a page.
enum Read {
    /// Nothing that it is made of has changed.
    Same,
    /// There is nothing for this user any more.
    Gone,
    PageParts(PageParts),
}

/// Answers `GET /events?view=…`.
pub(crate) async fn stream(mut context: Context, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    if let Some(why) = too_long(&pairs(&query)) {
        return context.bad_request(&why, "Load the page again.", "/");
    }
    let Some(view) = OpenPage::parse(&query) else {
        return context.bad_request("This stream has no such view.", "Load the page again.", "/");
    };
    let Some(permit) = context.app.limits.stream(&context.user.name) else {
        return plain(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many open pages are kept up to date: close some. This page can be loaded again.",
        );
    };
    context
        .app
        .parts
        .metrics
        .streams(context.app.limits.open_streams());
    // Links in parts lead to the page and not to its stream.
    context.address = view.page();
    context.namespace = view.namespace();
    context.rights = context.rights.of_open_page();
    let end = context.stream_end();
    let follow = Follow {
        snapshots: context.app.index.debounced_snapshots(),
        context,
        view,
        end,
        read: None,
        scope: None,
        quotas: None,
        made_of: None,
        sent: HashMap::new(),
        own: HashMap::new(),
        waiting: VecDeque::new(),
        stale: Stale::default(),
        is_gone: false,
        _permit: permit,
    };
    let events = stream::unfold(follow, |mut follow| async move {
        let event = follow.next().await?;
        Some((Ok::<_, Infallible>(event), follow))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}

/// One open page.
struct Follow {
    context: Context,
    view: OpenPage,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    end: Instant,
    /// When the page was read last, and from which versions.
    read: Option<(Instant, Option<Vec<String>>)>,
    /// Of a list: where the user sees workspaces of others.
    scope: Option<AccessScope>,
    /// Of the page about a namespace: its quotas, and when they were read.
    quotas: Option<(Instant, Option<Quotas>)>,
    /// Of a list: hash of the workspaces that the user sees, and templates, of which it was made last.
    made_of: Option<u64>,
    /// Hashes of the parts as they were sent last.
    sent: HashMap<&'static str, u64>,
    /// The sentences about own workspaces.
    own: HashMap<String, String>,
    /// Events to send next.
    waiting: VecDeque<Event>,
    /// What the page says of its age.
    stale: Stale,
    /// There is nothing more to show.
    is_gone: bool,
    _permit: Permit<String>,
}

impl Drop for Follow {
    fn drop(&mut self) {
        let app = &self.context.app;
        // Its own permit is given back after this.
        app.parts
            .metrics
            .streams(app.limits.open_streams().saturating_sub(1));
    }
}

impl Follow {
    /// The next event; `None` when the stream ends. After the assertion's end, or when all is too old, nothing is sent, even to a client
    /// that reads late.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if Instant::now() >= self.end || self.context.app.index.is_too_old() {
                return None;
            }
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_gone {
                return None;
            }
            let end = self.end;
            timeout_at(end, self.wait()).await.ok()??;
            self.context.now = Timestamp::now();
            let versions = self.view.versions(&self.context.app.index);
            let read = timeout_at(end, self.read()).await.ok()?;
            self.read = Some((Instant::now(), versions));
            match read.ok()? {
                Read::Same => self.take(PageParts::default())?,
                Read::PageParts(shown) => self.take(shown)?,
                Read::Gone => {
                    self.is_gone = true;
                    self.waiting.push_back(Event::default().event("end").data("gone"));
                }
            }
        }
    }

    /// What the page shows now.
    async fn read(&mut self) -> askama::Result<Read> {
        match self.view.clone() {
            OpenPage::List(search) => self.read_list(&search).await,
            OpenPage::Workspace { namespace, name } => {
                let Some(seen) = self.context.visible_workspace(&namespace, &name).await else {
                    let Context { rights, user, .. } = &self.context;
                    let is_known = visible::is_known(rights, user, (&namespace, &name)).await;
                    return Ok(if is_known { Read::Gone } else { Read::Same });
                };
                PageParts::workspace(&self.context, &seen)
                    .await
                    .map(Read::PageParts)
            }
        }
    }

    async fn read_list(&mut self, search: &Search) -> askama::Result<Read> {
        let debounced = self.snapshots.borrow_and_update().clone();
        let snapshot = match self.made_of {
            Some(_) => debounced,
            // What the page showed must not be older on its stream.
            None => self.context.app.index.snapshot(),
        };
        let visible = self.visible(&snapshot).await;
        let objects = hash((snapshot.templates(), self.context.read_only(), &visible));
        if self.made_of == Some(objects) {
            return Ok(Read::Same);
        }
        let beside = match &*search.place {
            "" => None,
            place => match namespace::may_see(&self.context, place).await {
                Some(true) => Some(self.beside(place).await),
                Some(false) => return Ok(Read::Gone),
                // Without an answer the page stays as it is.
                None => return Ok(Read::Same),
            },
        };
        let page = Page::find(&self.context, search, &visible).await;
        self.made_of = Some(objects);
        PageParts::list(&self.context, search, &visible, &page, beside).map(Read::PageParts)
    }

    async fn beside(&mut self, place: &str) -> Beside {
        let known = self.quotas.take().filter(|(read, _)| read.elapsed() < INTERVAL);
        let (read, quotas) = match known {
            Some(known) => known,
            None => (Instant::now(), quotas(&self.context, place).await),
        };
        self.quotas = Some((read, quotas.clone()));
        (May::ask(&self.context, place).await, quotas)
    }

    async fn visible(&mut self, snapshot: &Snapshot) -> Visible {
        let Context { rights, user, .. } = &self.context;
        let known = self.scope.take().filter(|scope| scope.is_whole(snapshot));
        let scope = match known {
            Some(known) => known,
            None => AccessScope::ask(snapshot, rights, user).await,
        };
        let visible = visible::within(snapshot, user, &scope);
        self.scope = Some(scope);
        visible
    }

    /// Waits until the page is to be read again; `None` when the portal ends.
    async fn wait(&mut self) -> Option<()> {
        let Some((read, versions)) = &self.read else {
            return Some(());
        };
        let (interval, pause) = self.view.pace(&self.context.app.index);
        let again = async {
            match interval {
                Some(interval) => sleep_until(*read + interval).await,
                None => std::future::pending().await,
            }
        };
        let snapshots = &mut self.snapshots;
        let change = async {
            loop {
                snapshots.changed().await.ok()?;
                let now = self.view.versions(&self.context.app.index);
                if now.is_none() || now != *versions {
                    sleep_until(*read + pause).await;
                    return Some(());
                }
            }
        };
        tokio::select! {
            result = change => result,
            () = again => Some(()),
        }
    }

    /// Keeps what is changed as events to send.
    fn take(&mut self, shown: PageParts) -> Option<()> {
        let is_first = self.sent.is_empty();
        let changed: Vec<_> = shown
            .parts
            .into_iter()
            .filter(|(id, html)| self.is_changed(id, html))
            .collect();
        let stale = self.context.stale();
        let is_change = self.stale != stale;
        if !changed.is_empty() || is_change {
            let mut html: String = changed.into_iter().map(|(_, html)| html).collect();
            html.push_str(&self.context.age().render().ok()?);
            html.push_str(&stale.render().ok()?);
            self.waiting
                .push_back(Event::default().event("patch").retry(RETRY).data(html));
        }
        // Who opens the next stream heard it on the one before.
        if is_change && !is_first && !stale.why.is_empty() {
            let text = format!("{} {}", stale.why, stale.now);
            self.waiting
                .push_back(Event::default().event("announce").data(text));
        }
        self.stale = stale;
        for (uid, text) in shown.own {
            let before = self.own.insert(uid, text.clone());
            if !is_first && before.as_ref() != Some(&text) {
                self.waiting
                    .push_back(Event::default().event("announce").data(text));
            }
        }
        Some(())
    }

    fn is_changed(&mut self, id: &'static str, html: &str) -> bool {
        let hash = hash(html);
        self.sent.insert(id, hash) != Some(hash)
    }
}
