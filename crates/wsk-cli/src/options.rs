//! `wsk options`: the tables of socket options and IOCTLs, as documentation.

use std::io::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use wsk::option::{Access, Categories, GroupShape, Keeper, Row, State, TABLE, Values};
use wsk_npi::{IOCTLS, Ioctl};

use crate::Failure;

/// List the socket options and IOCTLs there are
///
/// What each is for, who has it, when it can be set, what values it takes and who keeps it: the tables that the subsystem itself
/// looks up. Numbers are those of Windows' headers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only lines that contain this text, in whatever case: pktinfo, IPPROTO_TCP, 0x1002
    pattern: Option<String>,
}

/// Lines are no longer than this.
const WIDTH: u16 = 130;

const OPTIONS: [&str; 9] = ["option", "level", "code", "on", "when", "how", "values", "new", "kept by"];
const IOCTL: [&str; 4] = ["IOCTL", "code", "on", "in -> out: what"];

const LEGEND: &str = "
on      B basic, L listening, D datagram, C connection sockets; a stream socket is L and C until it has a role
when    any: it can be set at any time; unbound: before the bind
how     whether it can be got and set
level   SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP
values  flag: 1, 2 or 4 bytes; size: 4 or 8 bytes; numbers: 4 bytes. Asked for with less room than 4 bytes, the low one comes
new     the value on a new socket; host: whatever Linux has
kept by Linux LEVEL/NAME: an option of Linux, by its numbers; nobody: it reads back as it was set, and that is all
";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let pattern = args.pattern.as_deref().unwrap_or("").to_lowercase();
    let contains = |cells: &[String]| cells.iter().any(|cell| cell.to_lowercase().contains(&pattern));
    let options: Vec<_> = TABLE.iter().map(option).filter(|cells| contains(cells)).collect();
    let ioctls: Vec<_> = IOCTLS.iter().map(ioctl).filter(|cells| contains(cells)).collect();
    if options.is_empty() && ioctls.is_empty() {
        let pattern = args.pattern.as_deref().unwrap_or_default();
        let next = "wsk options lists all of them; give a part of a name, such as pktinfo or keepalive";
        return Err(Failure::new(format!("no option and no IOCTL has {pattern:?} in its line"), next));
    }
    let mut text = String::new();
    for table in [table(OPTIONS, options), table(IOCTL, ioctls)].into_iter().flatten() {
        text.push_str(&table);
        text.push_str("\n\n");
    }
    text.push_str(LEGEND.trim_start());
    // Who reads it may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// A table, unless it has no lines.
fn table<const N: usize>(header: [&str; N], lines: Vec<[String; N]>) -> Option<String> {
    if lines.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header).add_rows(lines);
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    Some(table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

fn option(row: &Row) -> [String; 9] {
    let default = match (row.default, row.keeper) {
        (Some(u32::MAX), _) => "-1".to_owned(),
        (Some(value), _) => value.to_string(),
        (None, Keeper::No) => String::new(),
        (None, _) if row.access == Access::Set => String::new(),
        (None, _) => "host".to_owned(),
    };
    let set = match (row.access, row.state) {
        (Access::Get, _) => "never",
        (_, State::Any) => "any",
        (_, State::BeforeBind) => "unbound",
    };
    let access = match row.access {
        Access::GetSet => "get set",
        Access::Get => "get",
        Access::Set => "set",
    };
    let code = if row.code < 0x100 { row.code.to_string() } else { format!("{:#06X}", row.code).replace('X', "x") };
    [
        row.name.to_owned(),
        level(row.level).0.to_owned(),
        code,
        categories(row.on),
        set.to_owned(),
        access.to_owned(),
        values(&row.values),
        default,
        keeper(row),
    ]
}

/// The level's name, and its number at Linux.
fn level(level: u32) -> (&'static str, i32) {
    match level {
        0 => ("IP", 0),
        6 => ("TCP", 6),
        17 => ("UDP", 17),
        41 => ("IPV6", 41),
        _ => ("SOCKET", 1),
    }
}

fn categories(on: Categories) -> String {
    let letters = [
        (Categories::BASIC, 'B'),
        (Categories::LISTEN, 'L'),
        (Categories::DATAGRAM, 'D'),
        (Categories::CONNECTION, 'C'),
    ];
    letters.into_iter().filter(|(category, _)| on.contains(*category)).map(|(_, letter)| letter).collect()
}

fn values(values: &Values) -> String {
    match values {
        Values::Flag => "flag".to_owned(),
        Values::Bytes => "size".to_owned(),
        Values::Number(range) if range.end() == &u32::MAX => "any number".to_owned(),
        Values::Number(range) => format!("{}..{}", range.start(), range.end()),
        Values::Signed => "-1 or more".to_owned(),
        Values::Octets(most) => format!("up to {most} bytes"),
        Values::Group(GroupShape::Mreq4) => "IP_MREQ".to_owned(),
        Values::Group(GroupShape::MreqSource4) => "IP_MREQ_SOURCE".to_owned(),
        Values::Group(GroupShape::Mreq6) => "IPV6_MREQ".to_owned(),
        Values::Group(GroupShape::Req) => "GROUP_REQ".to_owned(),
        Values::Group(GroupShape::SourceReq) => "GROUP_SOURCE_REQ".to_owned(),
        Values::Descriptor => "pointer to an SD".to_owned(),
        Values::Events => "event mask".to_owned(),
    }
}

fn keeper(row: &Row) -> String {
    let at = level(row.level).1;
    match row.keeper {
        Keeper::Linux(level, name) => format!("Linux {level}/{name}"),
        Keeper::Transport(how) if how.starts_with(|c: char| c.is_ascii_digit()) => format!("Linux {at}/{how}"),
        Keeper::Transport(how) => match how.strip_prefix("of ") {
            Some(name) => format!("part of Linux {at}/{name}"),
            None => format!("Linux: {how}"),
        },
        Keeper::Subsystem(how) => format!("the subsystem: {how}"),
        Keeper::Remembered(why) => format!("nobody: {why}"),
        Keeper::Constant(value) => format!("always {value}"),
        Keeper::No => "not offered".to_owned(),
    }
}

fn ioctl(row: &Ioctl) -> [String; 4] {
    let (on, what) = match row.on {
        Some(on) => (categories(on), row.what.to_owned()),
        None => (String::new(), "not offered".to_owned()),
    };
    [row.name.to_owned(), format!("{:#010X}", row.code).replacen('X', "x", 1), on, what]
}
