//! `lowshot serve`: the page, on this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use include_dir::Dir;

use super::{progress, table};
use crate::{
    Error, Result,
    platform::interrupt,
    serve::{self, Page},
};

/// Where `npm run build` leaves the page.
const BUILT: &str = "dist";

/// Serve the page to a browser on this machine.
///
/// It prints the page's address and runs until Ctrl-C. Photos stay in the browser: the server only gives the page's files away.
#[derive(Args)]
pub struct Serve {
    /// Port to listen on; 0 takes any that is free [default: the first free one from 8000 on].
    #[arg(long)]
    port: Option<u16>,
    /// Address to listen on. With another than the default, other machines can open the page too.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Folder of the built page [default: the page inside this program, else dist].
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

impl Serve {
    /// Runs the command, until the program is told to stop. `embedded` is the page that was compiled in.
    pub fn run(self, embedded: Option<&'static Dir<'static>>) -> Result<()> {
        let page = match (self.page, embedded) {
            (Some(folder), _) => Page::folder(&folder)?,
            (None, Some(files)) => Page::embedded(files),
            (None, None) if Path::new(BUILT).join("index.html").exists() => Page::folder(Path::new(BUILT))?,
            (None, None) => {
                return Err(Error::Usage(
                    "this program was built without the page: run 'npm run build' in lowshot's repository and start it there, \
                     or give the built folder by --page"
                        .into(),
                ));
            }
        };
        let listener = serve::listen(&self.host, self.port)?;
        let address = listener.local_addr().map_err(|error| Error::Failed(format!("the port is gone: {error}")))?;
        // Before the address is printed: who reads it may stop the program at once.
        interrupt::end();
        if !address.ip().is_loopback() {
            progress::note(
                "warning: other machines can open the page; their browsers give it no camera and no GPU, because this is not https",
            );
        }
        table::line(&format!("lowshot: http://{address}/  (Ctrl-C ends it)"));
        serve::serve(listener, page)
    }
}
