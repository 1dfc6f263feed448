//! Browser that shows JupyterLab -> result of a cell (IO).

use fantoccini::{elements::Element, key::Key};
use serde_json::{Value, json};

use crate::browser::Browser;

/// Opens a new notebook, computes `6*7` in its kernel over the websocket, and waits for the result.
///
/// # Errors
/// The page does not show it in time.
pub async fn run_a_cell(browser: &Browser) -> anyhow::Result<()> {
    browser
        .click(".jp-LauncherCard[data-category='Notebook']")
        .await?;
    let cell = first_cell(browser).await?;
    cell.send_keys("6*7").await?;
    run(&cell).await?;
    browser.sees(".jp-OutputArea-output pre", "42").await
}

/// A file of a notebook with one cell.
pub fn with_cell(kernel: &str, source: &str) -> Value {
    json!({
        "cells": [{
            "cell_type": "code", "id": "a", "execution_count": null, "metadata": {}, "outputs": [], "source": source,
        }],
        "metadata": {"kernelspec": {"display_name": kernel, "language": "", "name": kernel}},
        "nbformat": 4,
        "nbformat_minor": 5,
    })
}

/// Runs the first cell of the notebook that is shown.
///
/// # Errors
/// The page does not show it in time.
pub async fn run_first_cell(browser: &Browser) -> anyhow::Result<()> {
    run(&first_cell(browser).await?).await
}

async fn first_cell(browser: &Browser) -> anyhow::Result<Element> {
    // Cells that are run before the kernel is connected, over the websocket, are not run at all.
    browser.sees("#jp-main-statusbar", "| Idle").await?;
    browser.click(".jp-Notebook .jp-Cell .cm-content").await?;
    browser.find(".jp-Notebook .jp-Cell .cm-content").await
}

async fn run(cell: &Element) -> anyhow::Result<()> {
    let keys = format!("{}{}", char::from(Key::Shift), char::from(Key::Enter));
    Ok(cell.send_keys(&keys).await?)
}
