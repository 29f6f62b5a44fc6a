//! The table: medians over the rounds.

use std::fs;

use super::measure::{Calls, Plan, Results, Run};
use super::server::Arm;

const HEAD: [&str; 12] = [
    "server",
    "conns",
    "CPU ns/req",
    "min..max",
    "/ring",
    "/tokio",
    "req/s",
    "p50 us",
    "p99 us",
    "busy srv/load",
    "syscalls/req",
    "B/idle conn",
];

pub(super) fn print(plan: &Plan, arms: &[Arm], results: &Results, markdown: bool) {
    let mut rows = Vec::new();
    for &connections in &plan.connections {
        for arm in arms {
            rows.push(row(plan, results, &arm.name, connections));
        }
    }
    println!("{}\n", machine());
    println!("Command: `{}`\n", std::env::args().collect::<Vec<_>>().join(" "));
    println!("{}", table(&rows, markdown));
    println!(
        "Medians of {} rounds of {} s, {} byte requests; the ratios are of CPU time per request, taken round by round.",
        plan.rounds, plan.seconds, plan.size
    );
    if results.calls.values().any(|calls| matches!(calls, Calls::Traced(_))) {
        println!("System calls marked ~ were counted by strace, which slows the server and so makes batches larger.");
    }
    for failure in &results.failures {
        println!("FAILED: {failure}");
    }
}

fn row(plan: &Plan, results: &Results, arm: &str, connections: usize) -> Vec<String> {
    let run = |arm: &str, round| results.runs.get(&(arm.to_string(), connections, round)).copied();
    let over = |value: &dyn Fn(usize) -> Option<f64>| median((0..plan.rounds).filter_map(value).collect());
    let of = |value: fn(Run) -> f64| over(&|round| run(arm, round).map(value));
    let against = |peer: &str| over(&|round| Some(run(arm, round)?.cpu / run(peer, round)?.cpu));
    let all = || (0..plan.rounds).filter_map(|round| Some(run(arm, round)?.cpu));
    let spread = match all().count() {
        0 => "FAILED".into(),
        _ => format!("{:.0}..{:.0}", all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max)),
    };
    let calls = match results.calls.get(&(arm.to_string(), connections)) {
        Some(Calls::Counted(all, enters)) if enters * 2.0 > *all => format!("{all:.3} (enter {enters:.3})"),
        Some(Calls::Counted(all, _)) => format!("{all:.3}"),
        Some(Calls::Traced(all)) => format!("~{all:.3}"),
        Some(Calls::Unknown) => "n/a (install strace)".into(),
        None => "-".into(),
    };
    let busy = of(|run| run.server_busy * 100.0).zip(of(|run| run.load_busy * 100.0));
    vec![
        arm.into(),
        connections.to_string(),
        number(of(|run| run.cpu), 0),
        spread,
        number(against("ring-echo"), 2),
        number(against("tokio-echo"), 2),
        number(of(|run| run.rate), 0),
        number(of(|run| run.p50), 0),
        number(of(|run| run.p99), 0),
        busy.map_or("-".into(), |(server, load)| format!("{server:.0}%/{load:.0}%")),
        calls,
        number(results.idle.get(arm).copied(), 0),
    ]
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Aligned columns; as markdown the same with bars.
fn table(rows: &[Vec<String>], markdown: bool) -> String {
    let head: Vec<String> = HEAD.iter().map(|title| title.to_string()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].len());
        cells.max().unwrap_or(0)
    };
    let bar = if markdown { " | " } else { "  " };
    let line = |row: &[String]| {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(0)),
                _ => format!("{cell:>0$}", width(column)),
            })
            .collect();
        match markdown {
            true => format!("| {} |\n", cells.join(bar)),
            false => format!("{}\n", cells.join(bar)),
        }
    };
    let mut text = line(&head);
    if markdown {
        let rule: Vec<String> = (0..HEAD.len())
            .map(|column| match column {
                0 => "-".repeat(width(0)),
                _ => format!("{}:", "-".repeat(width(column) - 1)),
            })
            .collect();
        text += &format!("| {} |\n", rule.join(bar));
    }
    rows.iter().for_each(|row| text += &line(row));
    text
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = read("/proc/loadavg");
    format!(
        "Machine: Linux {}, {}, {} CPUs, load average {} at the end",
        read("/proc/sys/kernel/osrelease").trim(),
        model.map_or("unknown CPU", |(_, model)| model.trim()),
        cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        load.split(' ').next().unwrap_or("?"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn columns_line_up() {
        let row: Vec<String> = (0..HEAD.len()).map(|column| "x".repeat(column + 3)).collect();
        for markdown in [false, true] {
            let text = table(std::slice::from_ref(&row), markdown);
            let widths: Vec<usize> = text.lines().map(str::len).collect();
            assert!(widths.iter().all(|&width| width == widths[0]), "{text}");
        }
    }
}
