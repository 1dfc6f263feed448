//! message -> an HTML page and its Content-Security-Policy (pure).

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::escaping::{escape, with_code};
use super::message::{Action, Message, Part, Row, Step, Tone, Watch};
use super::theme::{Theme, source};

/// Polls in the background, first after 250 ms. The script shows changes, and loads the page anew if its parts differ. It sends
/// HEAD requests, because they have no effects in the workspace that may answer by then.
const WATCHER: &str = include_str!("watch.js");

static WATCHER_SOURCE: LazyLock<String> = LazyLock::new(|| source(WATCHER));

/// The page, and its Content-Security-Policy. `request`: the identifier to show.
pub(crate) fn page(message: &Message, theme: &Theme, request: Option<&str>) -> (String, String) {
    let mut html = String::with_capacity(12 * 1024);
    let title = escape(&message.title);
    let name = escape(&theme.name);
    let _ = write!(html, "<!doctype html><html lang=\"en\"");
    if let Some(watch) = message.watch {
        root(&mut html, message, watch, &name);
    }
    let _ = write!(
        html,
        "><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title} · {name}</title><style>{}</style>",
        theme.style
    );
    if let Some(seconds) = message.watch.and_then(|watch| watch.reload) {
        let _ = write!(
            html,
            "<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>"
        );
    }
    let _ = write!(html, "</head><body><header><span class=\"brand\">");
    if let Some(logo) = &theme.logo {
        let _ = write!(html, "<img src=\"{}\" alt=\"\">", escape(logo));
    }
    let _ = write!(html, "<span>{name}</span></span></header><main>");
    if !theme.notice.is_empty() {
        let _ = write!(html, "<p class=\"banner\">{}</p>", escape(&theme.notice));
    }
    card(&mut html, message, &title);
    html.push_str("</main>");
    footer(&mut html, message, theme, request);
    if message.watch.is_some() {
        let _ = write!(html, "<script>{WATCHER}</script>");
    }
    html.push_str("</body></html>");
    (html, policy(message, theme))
}

/// The JSON for scripts, in the same form for all answers.
pub(crate) fn json(message: &Message, request: &str) -> Value {
    let mut body = message.more.clone();
    body.insert("error".into(), message.error.as_ref().into());
    body.insert("message".into(), message.text.join(" ").into());
    body.insert("requestId".into(), request.into());
    if message.watch.is_some() {
        body.insert("page".into(), shown(message));
    }
    body.into()
}

/// The JSON for the page's own script.
pub(super) fn shown(message: &Message) -> Value {
    let mut page = json!({
        "shape": shape(message),
        "title": message.title,
        "lead": message.text.first(),
        "cause": "", "message": "", "remedy": "", "steps": [],
    });
    for part in &message.parts {
        match part {
            Part::Percent(percent) => page["percent"] = (*percent).into(),
            Part::Steps(steps) => {
                page["steps"] = steps.iter().map(|(_, step)| step.class()).collect();
            }
            Part::Cause {
                cause,
                message,
                remedy,
            } => {
                page["cause"] = cause.clone().into();
                page["message"] = message.clone().into();
                page["remedy"] = remedy.replace('`', "").into();
            }
            _ => {}
        }
    }
    page
}

/// The parts of the page: if they change, the script loads the page anew.
fn shape(message: &Message) -> String {
    let parts = message.parts.iter().map(|part| match part {
        Part::Elapsed(_) => "elapsed",
        Part::Percent(_) => "percent",
        Part::Steps(_) => "steps",
        Part::Cause { .. } => "cause",
        Part::Actions(_) => "actions",
        Part::Soft(_) => "soft",
        Part::List { .. } => "list",
    });
    let mut shape = format!("{} {}", message.kind, message.text.len());
    for part in parts {
        shape.push(' ');
        shape.push_str(part);
    }
    shape
}

fn root(html: &mut String, message: &Message, watch: Watch, name: &str) {
    let _ = write!(
        html,
        " data-tag=\"&quot;{}&quot;\" data-shape=\"{}\" data-pause=\"{}\" data-suffix=\" · {name}\"",
        escape(&message.tag()),
        escape(&shape(message)),
        watch.pause,
    );
    if let Some(stream) = &message.stream {
        let _ = write!(html, " data-stream=\"{}\"", escape(stream));
    }
    for step in [Step::Done, Step::Now, Step::Stuck] {
        let _ = write!(html, " data-{}=\"{}\"", step.class(), aside(step));
    }
}

/// Text for screen readers in place of the sign before a step.
fn aside(step: Step) -> &'static str {
    match step {
        Step::Done => " (done)",
        Step::Now => " (under way)",
        Step::Stuck => " (does not go on)",
        Step::Next => "",
    }
}

fn card(html: &mut String, message: &Message, title: &str) {
    let tone = match message.tone {
        Tone::Calm => "calm",
        Tone::Good => "good",
        Tone::Wait => "wait",
        Tone::Bad => "bad",
    };
    let _ = write!(html, "<div class=\"card {tone}\">");
    if !message.kind.is_empty() {
        let _ = write!(html, "<p class=\"kind\">{}</p>", escape(message.kind));
    }
    let _ = write!(html, "<h1>{title}</h1>");
    let live = if message.watch.is_some() {
        "<div role=\"status\" aria-live=\"polite\">"
    } else {
        "<div>"
    };
    html.push_str(live);
    for (at, text) in message.text.iter().enumerate() {
        let id = if at == 0 { " id=\"lead\"" } else { "" };
        let _ = write!(html, "<p{id}>{}</p>", with_code(text));
    }
    let causes = message
        .parts
        .iter()
        .filter(|part| matches!(part, Part::Cause { .. }));
    causes.for_each(|part| self::part(html, part));
    html.push_str("</div>");
    let others = message
        .parts
        .iter()
        .filter(|part| !matches!(part, Part::Cause { .. }));
    others.for_each(|part| self::part(html, part));
    html.push_str("</div>");
}

fn part(html: &mut String, part: &Part) {
    match part {
        Part::Percent(percent) => {
            let _ = write!(
                html,
                "<progress id=\"percent\" max=\"100\" value=\"{percent}\" aria-label=\"How far it is\"></progress>"
            );
        }
        Part::Elapsed(seconds) => elapsed(html, *seconds),
        Part::Steps(steps) => {
            html.push_str("<ol>");
            for (at, (what, step)) in steps.iter().enumerate() {
                let current = if *step == Step::Now {
                    " aria-current=\"step\""
                } else {
                    ""
                };
                let _ = write!(
                    html,
                    "<li id=\"step-{at}\" class=\"{}\"{current}><span>{}<span class=\"aside\">{}</span></span></li>",
                    step.class(),
                    escape(what),
                    aside(*step)
                );
            }
            html.push_str("</ol>");
        }
        Part::Cause {
            cause,
            message,
            remedy,
        } => {
            let hidden = |text: &str| if text.is_empty() { " hidden" } else { "" };
            let _ = write!(
                html,
                "<div id=\"note\" class=\"note\"{}><p><strong id=\"cause\">{}</strong> \
                 <span id=\"message\"{}>{}</span></p><p id=\"remedy\"{}>{}</p></div>",
                hidden(cause),
                escape(cause),
                hidden(message),
                escape(message),
                hidden(remedy),
                with_code(remedy),
            );
        }
        Part::Actions(actions) => {
            html.push_str("<div class=\"actions\">");
            for action in actions {
                self::action(html, action);
            }
            html.push_str("</div>");
        }
        Part::Soft(text) => {
            let _ = write!(html, "<p class=\"soft\">{}</p>", with_code(text));
        }
        Part::List { title, rows } => list(html, title, rows),
    }
}

fn list(html: &mut String, title: &str, rows: &[Row]) {
    let _ = write!(html, "<h2>{}</h2><ul>", escape(title));
    for row in rows {
        let _ = write!(
            html,
            "<li><span><a href=\"{}\">{}</a> <span class=\"soft\">{}</span></span><span class=\"soft\">{}</span></li>",
            escape(&row.to),
            escape(&row.name),
            escape(&row.within),
            escape(row.state),
        );
    }
    html.push_str("</ul>");
}

/// The elapsed time, which the page's script updates. Screen readers do not announce each second.
fn elapsed(html: &mut String, seconds: i64) {
    let seconds = seconds.max(0);
    let late = if seconds < 60 { " hidden" } else { "" };
    let _ = write!(
        html,
        "<p class=\"soft\">Waiting for <span id=\"elapsed\" data-seconds=\"{seconds}\">{}</span></p>\
         <p id=\"late\" class=\"soft\"{late}>This takes longer than usual. A large image that is fetched for the first time can \
         take some minutes.</p>",
        duration(seconds)
    );
}

/// The same text as in the script.
pub(super) fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

fn action(html: &mut String, action: &Action) {
    match action {
        Action::Form {
            get,
            to,
            fields,
            button,
            plain,
        } => {
            let method = if *get { "get" } else { "post" };
            let _ = write!(html, "<form method=\"{method}\" action=\"{}\">", escape(to));
            for (name, value) in fields {
                let _ = write!(
                    html,
                    "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                    escape(name),
                    escape(value)
                );
            }
            let class = if *plain { " class=\"plain\"" } else { "" };
            let _ = write!(
                html,
                "<button type=\"submit\"{class}>{}</button></form>",
                escape(button)
            );
        }
        Action::Link { to, text } | Action::NewTab { to, text } => {
            let target = if matches!(action, Action::NewTab { .. }) {
                " target=\"_blank\" rel=\"noopener\""
            } else {
                ""
            };
            let _ = write!(
                html,
                "<a class=\"button\" href=\"{}\"{target}>{}</a>",
                escape(to),
                escape(text)
            );
        }
    }
}

fn footer(html: &mut String, message: &Message, theme: &Theme, request: Option<&str>) {
    html.push_str("<footer>");
    if let Some(origin) = &message.account {
        let _ = write!(
            html,
            "<p><a href=\"{}/\">Your account and workspaces</a></p>",
            escape(origin)
        );
    }
    if let Some(look::Help { url, text }) = &theme.help {
        let _ = write!(
            html,
            "<p><a href=\"{}\" rel=\"noreferrer\">{}</a></p>",
            escape(url),
            escape(text)
        );
    }
    if let Some(request) = request {
        let _ = write!(html, "<p>Request <code>{}</code></p>", escape(request));
    }
    html.push_str("</footer>");
}

fn policy(message: &Message, theme: &Theme) -> String {
    let mut policy = format!(
        "default-src 'none'; style-src {}; base-uri 'none'; frame-ancestors 'none';",
        theme.style_source
    );
    match &message.forms_to {
        Some(origins) => {
            let _ = write!(policy, " form-action 'self' {origins};");
        }
        None => policy.push_str(" form-action 'none';"),
    }
    if theme.logo.is_some() {
        policy.push_str(" img-src data:;");
    }
    if message.watch.is_some() {
        let _ = write!(policy, " script-src {}; connect-src 'self';", *WATCHER_SOURCE);
    }
    policy
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
