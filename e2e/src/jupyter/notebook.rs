//! Browser that shows JupyterLab's launcher -> result of a cell (IO).

use fantoccini::key::Key;

use crate::browser::Browser;

/// Opens a new notebook, computes `6*7` in its kernel over the websocket, and waits for the result.
///
/// # Errors
/// The page does not show it in time.
pub async fn run_a_cell(browser: &Browser) -> anyhow::Result<()> {
    browser
        .click(".jp-LauncherCard[data-category='Notebook']")
        .await?;
    // Cells that are run before the kernel is connected, over the websocket, are not run at all.
    browser.sees("#jp-main-statusbar", "| Idle").await?;
    browser.click(".jp-Notebook .jp-Cell .cm-content").await?;
    let cell = browser.find(".jp-Notebook .jp-Cell .cm-content").await?;
    cell.send_keys("6*7").await?;
    cell.send_keys(&format!("{}{}", char::from(Key::Shift), char::from(Key::Enter)))
        .await?;
    browser.sees(".jp-OutputArea-output pre", "42").await
}
