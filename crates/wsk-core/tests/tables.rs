//! The state tables, printed for comparison with functions.md section 5 (F-240 to F-244): every call in every state.

use std::fmt::{Debug, Write};

use wsk_core::socket::{connection, datagram, listen};

fn print<C: Debug, V: Debug, S: Debug>(rows: &[(C, &[V])], states: &[S]) -> String {
    let mut out = format!("{:<24}", "");
    for state in states {
        write!(out, "{:<13}", format!("{state:?}")).expect("a string takes everything");
    }
    for (call, verdicts) in rows {
        write!(out, "\n{:<24}", format!("{call:?}")).expect("a string takes everything");
        for verdict in *verdicts {
            write!(out, "{:<13}", format!("{verdict:?}")).expect("a string takes everything");
        }
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn f243_connection() {
    let rows: Vec<_> = connection::TABLE.iter().map(|(call, row)| (*call, &row[..])).collect();
    insta::assert_snapshot!(print(&rows, &connection::State::ALL));
}

#[test]
fn f241_listen() {
    let rows: Vec<_> = listen::TABLE.iter().map(|(call, row)| (*call, &row[..])).collect();
    insta::assert_snapshot!(print(&rows, &listen::State::ALL));
}

#[test]
fn f242_datagram() {
    let rows: Vec<_> = datagram::TABLE.iter().map(|(call, row)| (*call, &row[..])).collect();
    insta::assert_snapshot!(print(&rows, &datagram::State::ALL));
}

/// Rows are found by their position: each must stand where its name says.
#[test]
fn rows_are_in_the_order_of_their_calls() {
    for (at, (call, _)) in connection::TABLE.iter().enumerate() {
        assert_eq!(*call as usize, at);
    }
    for (at, (call, _)) in listen::TABLE.iter().enumerate() {
        assert_eq!(*call as usize, at);
    }
    for (at, (call, _)) in datagram::TABLE.iter().enumerate() {
        assert_eq!(*call as usize, at);
    }
}
