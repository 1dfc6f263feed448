//! Browser and keys -> the element that has the focus, and whether the user sees it (IO).

use anyhow::Context as _;
use fantoccini::{
    actions::{InputSource as _, KeyAction, KeyActions},
    key::Key,
};
use serde::Deserialize;

use crate::{browser::Browser, wait};

/// Maximum number of presses of Tab before an element is reached.
const STEPS: usize = 600;

/// The element with the focus. `selector` is a path to the element.
const FOCUS: &str = r"
const element = document.activeElement;
const path = [];
for (let at = element; at instanceof Element && at !== document.body; at = at.parentElement) {
  path.unshift(`${at.localName}:nth-child(${[...at.parentElement.children].indexOf(at) + 1})`);
}
const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
const style = getComputedStyle(element);
const at = [[0.5, 0.5], [0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]].map(([x, y]) =>
  document.elementFromPoint(box.left + box.width * x, box.top + box.height * y));
const isIts = (other) => other && (element.contains(other) || [...(element.labels ?? [])].some((label) => label.contains(other)));
const previous = window.focusedBefore;
window.focusedBefore = element;
const isPage = element === document.body || element === document.documentElement;
const isMarked = element.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
const isShown = box.width > 0 && box.height > 0 && at.some(isIts);
const after = Node.DOCUMENT_POSITION_FOLLOWING | Node.DOCUMENT_POSITION_CONTAINED_BY;
const isAfter = !previous?.isConnected || Boolean(previous.compareDocumentPosition(element) & after);
const faults = [!isMarked && 'the focus is not visible', !isShown && 'what has the focus is covered', !isAfter && 'the focus goes back'];
return {
  selector: path.join('>'),
  html: element.outerHTML.slice(0, 160),
  matches: arguments[0] !== '' && element.matches(arguments[0]),
  isPage,
  fault: faults.find((fault) => !isPage && fault) ?? null,
};
";

/// Makes Tab start at the top. The browser forgets the last focus only if an element above it had the focus since.
const BEGIN: &str = r"
document.body.tabIndex = -1;
document.body.focus();
document.body.removeAttribute('tabindex');
window.focusedBefore = null;
";

/// The element that has the focus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Focus {
    /// Its position in the page.
    pub selector: String,
    /// The start of its text.
    pub html: String,
    /// Whether it matches the selector.
    pub matches: bool,
    /// Whether it is the page itself: no element has the focus.
    pub is_page: bool,
    /// Whether it has no outline of two pixels, is covered, or comes before the element that had the focus last.
    pub fault: Option<String>,
}

impl Browser {
    /// Presses keys one after the other.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn press(&self, keys: impl IntoIterator<Item = Key>) -> anyhow::Result<()> {
        self.strike(keys.into_iter().map(char::from)).await
    }

    /// Presses Tab with Shift: the element before.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn back_tab(&self) -> anyhow::Result<()> {
        self.chord(Key::Shift, Key::Tab).await
    }

    /// Presses a key while another one is held.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn chord(&self, held: Key, key: Key) -> anyhow::Result<()> {
        self.hold(held, char::from(key)).await
    }

    /// Presses the key of a letter while Control is held.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn shortcut(&self, letter: char) -> anyhow::Result<()> {
        self.hold(Key::Control, letter).await
    }

    async fn hold(&self, held: Key, key: char) -> anyhow::Result<()> {
        let held = char::from(held);
        let keys = [
            KeyAction::Down { value: held },
            KeyAction::Down { value: key },
            KeyAction::Up { value: key },
            KeyAction::Up { value: held },
        ];
        let none = KeyActions::new("keyboard".to_owned());
        let actions = keys.into_iter().fold(none, KeyActions::then);
        self.page.perform_actions(actions).await?;
        Ok(())
    }

    /// Types a text into what has the focus.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn type_text(&self, text: &str) -> anyhow::Result<()> {
        self.strike(text.chars()).await
    }

    async fn strike(&self, keys: impl Iterator<Item = char>) -> anyhow::Result<()> {
        let none = KeyActions::new("keyboard".to_owned());
        let actions = keys.fold(none, |actions, value| {
            actions
                .then(KeyAction::Down { value })
                .then(KeyAction::Up { value })
        });
        self.page.perform_actions(actions).await?;
        Ok(())
    }

    /// What has the focus. `wanted`: a selector, or nothing.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn focus(&self, wanted: &str) -> anyhow::Result<Focus> {
        let found = self.run(FOCUS, vec![wanted.into()]).await?;
        serde_json::from_value(found.clone()).with_context(|| found.to_string())
    }

    /// Waits until an element that the selector chooses has the focus.
    ///
    /// # Errors
    /// It does not get the focus.
    pub async fn focused(&self, wanted: &str) -> anyhow::Result<Focus> {
        wait::until(&format!("{wanted} to have the focus"), wait::USUAL, || async {
            match self.focus(wanted).await {
                Ok(focus) if focus.matches => Ok(focus),
                Ok(focus) => Err(focus.html),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// Presses Tab until an element that matches the selector has the focus. Each element before it must be marked, visible and in the
    /// order of the page.
    ///
    /// # Errors
    /// The element is not reached, or one on the way breaks a rule.
    pub async fn tab_to(&self, wanted: &str) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        for _ in 0..STEPS {
            self.press([Key::Tab]).await?;
            let focus = self.focus(wanted).await?;
            check(&focus)?;
            if focus.matches {
                return Ok(());
            }
            anyhow::ensure!(
                !seen.contains(&focus.selector),
                "Tab does not lead to {wanted}, only to {seen:#?}"
            );
            seen.push(focus.selector);
        }
        anyhow::bail!("Tab does not lead to {wanted} in {STEPS} steps")
    }

    /// Presses Tab from the start of the page to its end. Returns the elements, which are checked as by [`Self::tab_to`].
    ///
    /// # Errors
    /// An element breaks a rule, or the focus does not leave it.
    pub async fn tab_through(&self) -> anyhow::Result<Vec<Focus>> {
        self.run(BEGIN, Vec::new()).await?;
        let mut seen: Vec<Focus> = Vec::new();
        for _ in 0..STEPS {
            self.press([Key::Tab]).await?;
            let focus = self.focus("").await?;
            // After the last element the browser starts again.
            if focus.is_page || seen.first().is_some_and(|first| first.selector == focus.selector) {
                return Ok(seen);
            }
            check(&focus)?;
            anyhow::ensure!(
                seen.iter().all(|before| before.selector != focus.selector),
                "Tab comes back to {} before the end of the page",
                focus.html
            );
            seen.push(focus);
        }
        anyhow::bail!("the focus does not reach the end of the page in {STEPS} steps")
    }
}

fn check(focus: &Focus) -> anyhow::Result<()> {
    match &focus.fault {
        None => Ok(()),
        Some(fault) => anyhow::bail!("{fault}: {}", focus.html),
    }
}
