//! `wsk imports`: what a driver wants from the system, and whether it is there.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use wsk_loader::{Binding, Loader};

use crate::{Failure, WRONG};

/// List what a driver imports, and from where it gets it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The driver
    #[arg(value_name = "X.sys")]
    driver: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let bytes = crate::run::read(&args.driver)?;
    let loader = Loader::new(crate::run::exports());
    let imports = loader.imports_of(&bytes).map_err(|error| {
        Failure::new(format!("{}: {error}", args.driver.display()), "name a driver for x64 Windows")
    })?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["module", "import", "bound to"]);
    let mut missing = 0;
    for import in &imports {
        let bound = match &import.binding {
            Binding::Function => "OpenWSK".to_owned(),
            Binding::Data => "OpenWSK (variable)".to_owned(),
            Binding::Driver(name) => name.clone(),
            Binding::Missing => {
                missing += 1;
                "MISSING".to_owned()
            }
        };
        table.add_row([import.dll.clone(), import.wanted.to_string(), bound]);
    }
    println!("{table}");
    let total = imports.len();
    println!("\n{total} imports, {} bound, {missing} missing", total - missing);
    if missing == 0 {
        return Ok(());
    }
    let what = format!("{missing} of the imports of {} are missing", args.driver.display());
    let next = "wsk run refuses it; with --allow-missing it runs until it calls one";
    Err(Failure { exit: WRONG, ..Failure::new(what, next) })
}
