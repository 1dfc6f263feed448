//! Script of a hostile page and the address that it attacks -> how it ended (IO).

use serde_json::{Value, json};

use crate::browser::Browser;

/// Requests that a page can send without leaving, and the results that show a failed attack. `target` ends with the text to search for in
/// the pod's log, and `fields` are those of a form.
pub const ATTEMPTS: [(&str, &str, &str); 11] = [
    (
        "fetch",
        "fetch(target, {credentials: 'include'}).then(() => done('got'), () => done('nothing'))",
        "nothing",
    ),
    (
        "post",
        "fetch(target, {method: 'POST', credentials: 'include', mode: 'no-cors', body: new URLSearchParams(fields)}).then(r => done(r.type), () => done('nothing'))",
        "opaque",
    ),
    (
        "preflight",
        "fetch(target, {method: 'DELETE', credentials: 'include'}).then(() => done('got'), () => done('nothing'))",
        "nothing",
    ),
    (
        "script",
        "const s = document.createElement('script'); s.src = target; s.onload = () => done('got'); s.onerror = () => done('nothing'); document.body.append(s)",
        "nothing",
    ),
    (
        "image",
        "const i = new Image(); i.src = target; i.onload = () => done('got'); i.onerror = () => done('nothing')",
        "nothing",
    ),
    (
        "frame",
        "const f = document.createElement('iframe'); f.src = target; f.onload = () => { let seen = 'nothing'; try { seen = f.contentDocument ? 'got' : 'nothing' } catch {} done(seen) }; document.body.append(f)",
        "nothing",
    ),
    (
        "form-in-frame",
        "const f = document.createElement('iframe'); f.name = 'inner'; document.body.append(f); const form = document.createElement('form'); form.method = 'post'; form.action = target; form.target = 'inner'; for (const [name, value] of Object.entries(fields)) { const i = document.createElement('input'); i.name = name; i.value = value; form.append(i) } document.body.append(form); f.onload = () => done('nothing'); HTMLFormElement.prototype.submit.call(form)",
        "nothing",
    ),
    (
        "socket",
        "const s = new WebSocket(target.replace('https', 'wss')); s.onopen = () => done('got'); s.onerror = () => done('nothing')",
        "nothing",
    ),
    (
        "events",
        "const s = new EventSource(target, {withCredentials: true}); s.onopen = s.onmessage = () => done('got'); s.onerror = () => done('nothing')",
        "nothing",
    ),
    (
        "worker",
        "navigator.serviceWorker.register(target).then(() => done('got'), () => done('nothing'))",
        "nothing",
    ),
    // The browser fetches the page ahead, as if the user had typed its address, without an event for the page.
    (
        "speculation",
        "const s = document.createElement('script'); s.type = 'speculationrules'; s.textContent = JSON.stringify({prefetch: [{urls: [target], eagerness: 'immediate'}]}); document.body.append(s)",
        "silence",
    ),
];

/// Runs a hostile page's script: `done` gets its result; no result for five seconds means `silence`.
///
/// # Errors
/// The browser does not answer.
pub async fn tries(browser: &Browser, script: &str, target: &str) -> anyhow::Result<Value> {
    tries_with(browser, script, target, &json!({})).await
}

/// Like [`tries`], with these fields of a form.
///
/// # Errors
/// The browser does not answer.
pub async fn tries_with(
    browser: &Browser,
    script: &str,
    target: &str,
    fields: &Value,
) -> anyhow::Result<Value> {
    let script = format!(
        "const [target, fields, done] = arguments; setTimeout(() => done('silence'), 5000); {script}"
    );
    let arguments = vec![target.into(), fields.clone()];
    Ok(browser.page.execute_async(&script, arguments).await?)
}
