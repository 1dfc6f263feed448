//! Workspace name -> its URL, in the browser or printed (IO).

use super::available;
use super::launch;
use crate::args::Open;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// Opens the URL of a workspace that is available.
pub(crate) async fn run(cluster: &Cluster, args: &Open, console: &mut Console<'_>) -> Result<(), Failure> {
    let url = Box::pin(available::url(cluster, &args.name, args.waiting, "open", console)).await?;
    // No program gets what is no address of a web page.
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    let otherwise = "No browser could be opened. Open this URL:";
    launch::open(&url, args.print || !is_page, otherwise, console)
}
