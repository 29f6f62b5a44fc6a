//! `cargo xtask mutilate`: the loader against damaged images, for as long as one likes. `cargo xtask test` tries a few
//! thousand.

use std::path::Path;

use crate::cargo;

/// Rounds when none are asked for.
const ROUNDS: u64 = 1_000_000;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let rounds = match arguments {
        [] => ROUNDS,
        [rounds] => rounds.parse().map_err(|_| format!("{rounds} is no number of rounds"))?,
        _ => return Err("one number of rounds, or none".into()),
    };
    println!("{rounds} rounds; each prints nothing unless it fails");
    let arguments = ["test", "--release", "-p", "wsk-loader", "--test", "mutilate"];
    let status = cargo(root).args(arguments).env("WSK_MUTILATE", rounds.to_string()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the test ended with {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
