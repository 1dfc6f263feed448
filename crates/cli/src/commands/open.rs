//! Workspace name -> its URL, in the browser or printed (IO).

use super::available;
use super::launch::launch;
use crate::args::Open;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// Opens the URL of a workspace that is available.
pub(crate) async fn run(cluster: &Cluster, args: &Open, console: &mut Console<'_>) -> Result<(), Failure> {
    let url = Box::pin(available::url(cluster, &args.name, args.waiting, "open", console)).await?;
    // No program gets what is no address of a web page.
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    if !args.print && is_page && launch(&url) {
        writeln!(console.err, "Opening {url}")?;
        return Ok(());
    }
    if !args.print {
        writeln!(console.err, "No browser could be opened. Open this URL:")?;
    }
    Ok(writeln!(console.out, "{url}")?)
}
