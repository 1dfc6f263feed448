//! Commands of the `DevTools` protocol -> answers of a headless Chromium, over two pipes (IO).

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// The browser reads commands from file 3 and writes answers to file 4, which a shell opens for it.
const START: &str =
    r#"exec taskset --cpu-list "$0" chromium --remote-debugging-pipe "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

const OPTIONS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--no-startup-window",
    "--no-first-run",
    "--no-proxy-server",
    "--ignore-certificate-errors",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
];

/// A browser that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Chromium {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Number of the last command.
    last: u64,
    /// Events that came while others were awaited.
    events: Vec<Value>,
}

/// A window that knows nothing of others: cache and connections are its own.
#[derive(Debug)]
pub(super) struct Window<'a> {
    chromium: &'a mut Chromium,
    context: String,
    session: String,
}

impl Chromium {
    /// Starts it on these processors. `folder` has its profile and its log.
    pub(super) fn start(processors: &str, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut process = Command::new("sh")
            .args(["-c", START, processors])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context("cannot start sh")?;
        let commands = process.stdin.take().context("no pipe for commands")?;
        let answers = process.stdout.take().context("no pipe for answers")?;
        Ok(Self {
            process,
            commands,
            answers: BufReader::new(answers),
            last: 0,
            events: Vec::new(),
        })
    }

    /// Opens a window in which `script` runs before the scripts of each page.
    pub(super) fn window(&mut self, script: &str) -> anyhow::Result<Window<'_>> {
        self.events.clear();
        let context = self.send("Target.createBrowserContext", &json!({}))?;
        let context = text(&context, "browserContextId")?;
        let page = json!({"url": "about:blank", "browserContextId": context});
        let page = text(&self.send("Target.createTarget", &page)?, "targetId")?;
        let attach = json!({"targetId": page, "flatten": true});
        let session = text(&self.send("Target.attachToTarget", &attach)?, "sessionId")?;
        let mut window = Window {
            chromium: self,
            context,
            session,
        };
        window.send("Page.enable", &json!({}))?;
        window.send(
            "Page.addScriptToEvaluateOnNewDocument",
            &json!({"source": script}),
        )?;
        Ok(window)
    }

    fn send(&mut self, method: &str, parameters: &Value) -> anyhow::Result<Value> {
        self.command(json!({"method": method, "params": parameters}))
    }

    fn command(&mut self, mut command: Value) -> anyhow::Result<Value> {
        self.last += 1;
        command["id"] = self.last.into();
        self.commands.write_all(command.to_string().as_bytes())?;
        self.commands.write_all(&[0])?;
        loop {
            let mut message = self.message()?;
            if message["id"] == self.last {
                let error = &message["error"]["message"];
                ensure!(error.is_null(), "Chromium refuses {}: {error}", command["method"]);
                return Ok(message["result"].take());
            }
            self.events.push(message);
        }
    }

    /// The next event of that name.
    fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        let mut number = 0;
        loop {
            if number == self.events.len() {
                let message = self.message()?;
                self.events.push(message);
            }
            if self.events[number]["method"] == name {
                return Ok(self.events.remove(number)["params"].take());
            }
            number += 1;
        }
    }

    fn message(&mut self) -> anyhow::Result<Value> {
        let mut message = Vec::new();
        self.answers.read_until(0, &mut message)?;
        ensure!(message.pop() == Some(0), "Chromium ended");
        Ok(serde_json::from_slice(&message)?)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Window<'_> {
    /// Sends a command to the page.
    pub(super) fn send(&mut self, method: &str, parameters: &Value) -> anyhow::Result<Value> {
        let command = json!({"method": method, "params": parameters, "sessionId": self.session});
        self.chromium.command(command)
    }

    /// Loads a page and all that it names.
    pub(super) fn open(&mut self, url: &str) -> anyhow::Result<()> {
        let answer = self.send("Page.navigate", &json!({"url": url}))?;
        let error = &answer["errorText"];
        ensure!(error.is_null(), "{url} does not load: {error}");
        while self.chromium.event("Page.frameNavigated")?["frame"]["url"] != url {}
        self.chromium.event("Page.loadEventFired").map(drop)
    }

    /// The value of an expression in the page, or of its promise.
    pub(super) fn value(&mut self, expression: &str) -> anyhow::Result<Value> {
        let expression = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.send("Runtime.evaluate", &expression)?;
        let error = &answer["exceptionDetails"];
        ensure!(error.is_null(), "the page's script fails: {error}");
        Ok(answer["result"]["value"].take())
    }

    /// Begins to record tasks.
    pub(super) fn record(&mut self, categories: &[&str]) -> anyhow::Result<()> {
        let config = json!({"includedCategories": categories, "excludedCategories": ["*"]});
        let record = json!({"transferMode": "ReportEvents", "traceConfig": config});
        self.chromium.send("Tracing.start", &record).map(drop)
    }

    /// Ends the record; its events.
    pub(super) fn recorded(&mut self) -> anyhow::Result<Vec<Value>> {
        self.chromium.send("Tracing.end", &json!({}))?;
        self.chromium.event("Tracing.tracingComplete")?;
        let parts = self.chromium.events.iter_mut();
        let parts = parts.filter(|event| event["method"] == "Tracing.dataCollected");
        let events = parts.filter_map(|part| part["params"]["value"].as_array_mut().map(std::mem::take));
        Ok(events.flatten().collect())
    }

    /// Closes it, and forgets what it knew.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let context = json!({"browserContextId": self.context});
        self.chromium
            .send("Target.disposeBrowserContext", &context)
            .map(drop)
    }
}

fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    let text = answer[name]
        .as_str()
        .with_context(|| format!("Chromium gives no {name}"))?;
    Ok(text.to_owned())
}
