//! Page in a browser -> parts that are off the screen or cut off (IO).

use anyhow::Context as _;
use e2e::browser::Browser;
use serde_json::Value;

/// Regions with a scroll bar of their own, such as tables, may be wider than the screen. What is for screen readers alone is clipped.
const FAULTS: &str = r"
const [text] = arguments;
const root = document.scrollingElement;
const width = root.clientWidth;
const faults = [];
if (getComputedStyle(document.body).fontSize !== `${text}px`) faults.push('the size of text does not count');
const named = (element) => element.outerHTML.slice(0, 120);
const scrolls = (element) => {
  for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
    if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return true;
  }
  return false;
};
const isForReaders = (element) => element.closest('.aside, .skip') || getComputedStyle(element).clipPath !== 'none';
const isShown = (element) => element.checkVisibility({ visibilityProperty: true });
for (const element of document.body.querySelectorAll('*')) {
  if (!isShown(element) || isForReaders(element)) continue;
  const box = element.getBoundingClientRect();
  if (box.right > width + 1 && !scrolls(element)) faults.push(`ends at ${Math.round(box.right)} of ${width}: ${named(element)}`);
  if (box.left < -1 && !scrolls(element)) faults.push(`begins at ${Math.round(box.left)}: ${named(element)}`);
  const style = getComputedStyle(element);
  const cuts = (overflow) => ['hidden', 'clip'].includes(overflow);
  // A field shows a part of a long text.
  const isCut = !element.matches('input') && ((cuts(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
    || (cuts(style.overflowY) && element.scrollHeight > element.clientHeight + 1));
  if (isCut) faults.push(`is cut: ${named(element)}`);
  if (style.textOverflow === 'ellipsis') faults.push(`is shortened: ${named(element)}`);
}
if (root.scrollWidth > width && faults.length === 0) faults.push(`the page is ${root.scrollWidth} wide on a screen of ${width}`);
return faults.slice(0, 10);
";

/// With the system's colours, a control has an edge and a text, and nothing moves.
const HIDDEN: &str = r"
const faults = [];
for (const wanted of ['(forced-colors: active)', '(prefers-reduced-motion: reduce)']) {
  if (!matchMedia(wanted).matches) faults.push(`${wanted} does not count`);
}
const isClear = (color) => /^rgba\(.*, 0\)$/.test(color) || color === 'transparent';
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!isClear(color)) return color;
  }
  return getComputedStyle(document.documentElement).backgroundColor;
};
for (const control of document.querySelectorAll('a[href], button, summary, select, textarea, input:not([type=hidden])')) {
  if (!control.checkVisibility({ visibilityProperty: true }) || control.closest('.skip')) continue;
  const style = getComputedStyle(control);
  const isBox = control.matches('button, .button, select, textarea, input:not([type=range], [type=checkbox], [type=radio])');
  const hasEdge = style.borderTopStyle !== 'none' && parseFloat(style.borderTopWidth) >= 1
    && !isClear(style.borderTopColor) && style.borderTopColor !== behind(control.parentElement);
  if (isBox && !hasEdge) faults.push(`has no edge: ${control.outerHTML.slice(0, 120)}`);
  if (style.color === behind(control)) faults.push(`has no text: ${control.outerHTML.slice(0, 120)}`);
}
document.querySelector('.steps .stuck')?.classList.replace('stuck', 'now');
for (const moving of document.getAnimations()) faults.push(`moves: ${moving.animationName}`);
return faults.slice(0, 10);
";

/// Each move of what was shown since the page was loaded, without what a user did.
const SHIFTS: &str = r"
const observer = new PerformanceObserver(() => {});
observer.observe({ type: 'layout-shift', buffered: true });
const shifts = observer.takeRecords().filter((shift) => !shift.hadRecentInput);
return shifts.map(({ value, sources }) => `${value}: ${sources.map(({ node }) => (node?.outerHTML ?? node?.data)?.slice(0, 120))}`);
";

/// What has moved since the page was loaded.
pub(crate) async fn shifts(browser: &Browser) -> anyhow::Result<Vec<String>> {
    list(&browser.run(SHIFTS, Vec::new()).await?)
}

/// What cannot be read without a horizontal scroll bar of the page, or not at all, where text has this size.
pub(crate) async fn faults(browser: &Browser, text: u32) -> anyhow::Result<Vec<String>> {
    list(&browser.run(FAULTS, vec![text.into()]).await?)
}

/// What is not seen with the system's colours, and what moves though the user wants no motion.
pub(crate) async fn hidden(browser: &Browser) -> anyhow::Result<Vec<String>> {
    list(&browser.run(HIDDEN, Vec::new()).await?)
}

/// Whether something moves.
pub(crate) async fn moves(browser: &Browser) -> anyhow::Result<bool> {
    let moving = browser
        .run("return document.getAnimations().length > 0", Vec::new())
        .await?;
    Ok(moving == Value::Bool(true))
}

fn list(found: &Value) -> anyhow::Result<Vec<String>> {
    serde_json::from_value(found.clone()).with_context(|| found.to_string())
}
