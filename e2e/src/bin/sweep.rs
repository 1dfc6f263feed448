//! Takes away what tests left that ended before they cleaned up (IO). The test run begins with it.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for namespace in e2e::sweep::sweep().await? {
        println!("removed what a test left: {namespace}");
    }
    Ok(())
}
