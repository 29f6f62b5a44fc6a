//! The command line: `--name value` and `--name`, nothing else.

use std::fmt::Display;
use std::str::FromStr;

use crate::Result;

/// The arguments not asked for yet.
pub struct Args(pico_args::Arguments);

impl Args {
    /// The process's arguments; `--help` prints `usage` and exits.
    pub fn from_env(usage: &str) -> Args {
        let mut args = pico_args::Arguments::from_env();
        if args.contains(["-h", "--help"]) {
            println!("{usage}");
            std::process::exit(0);
        }
        Args(args)
    }

    /// Whether the flag is there.
    pub fn flag(&mut self, name: &'static str) -> bool {
        self.0.contains(name)
    }

    /// The value of an option, if it is there.
    pub fn option<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>>
    where
        T::Err: Display,
    {
        Ok(self.0.opt_value_from_str(name)?)
    }

    /// The value of an option, or its default.
    pub fn value<T: FromStr>(&mut self, name: &'static str, default: T) -> Result<T>
    where
        T::Err: Display,
    {
        Ok(self.option(name)?.unwrap_or(default))
    }

    /// To be called last: whatever is left was not understood.
    pub fn finish(self) -> Result<()> {
        match self.0.finish().first() {
            None => Ok(()),
            Some(rest) => Err(format!("unknown argument {rest:?} (see --help)").into()),
        }
    }
}
