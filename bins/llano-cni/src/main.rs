//! `llano-cni`: one file, many names. It acts as the plugin type it is called by, and speaks CNI on standard
//! input and output. Everything it does is in the `attach` crate.

mod alloc;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use attach::agent::AgentPlugin;
use attach::paths::Paths;
use attach::types::{self, TYPES};
use cni::Plugin;

#[global_allocator]
static ALLOCATOR: alloc::Bump = alloc::Bump;

fn plugin(called: &Path) -> Option<Box<dyn Plugin>> {
    let paths = Paths::from_env();
    let name = called.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match name {
        "llano" => Some(Box::new(AgentPlugin { paths, file: called.to_owned() })),
        _ => types::plugin(name, &paths),
    }
}

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    match plugin(Path::new(&called)) {
        Some(plugin) => cni::serve(plugin.as_ref()),
        None => about(),
    }
}

/// Called by its own name: nothing to do but to say how it is meant.
fn about() -> ExitCode {
    use std::io::Write;
    let text = format!(
        "llano-cni {}: CNI plugins in one file, chosen by the name it is called by.\n\
         Types: {}, and llano, which asks the node's agent.\n\
         Link it under each name in the CNI binary directory, such as\n\
         \x20   ln -s llano-cni /opt/cni/bin/macvlan\n\
         or let `llano install` do it.\n",
        env!("CARGO_PKG_VERSION"),
        TYPES.join(", ")
    );
    let asked =
        std::env::args_os().nth(1).is_some_and(|arg| arg == "--version" || arg == "--help" || arg == "-h");
    if asked {
        // A closed pipe has no reader to miss it.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(1)
}
