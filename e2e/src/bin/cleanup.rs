//! Leftovers of tests that ended before their cleanup -> deleted (IO).
//!
//! The test run begins with this program.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for namespace in e2e::cluster::cleanup::cleanup().await? {
        println!("removed what a test left: {namespace}");
    }
    Ok(())
}
