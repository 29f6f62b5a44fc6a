//! What the demo found, for people (a table) and for programs (JSON).

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) kernel: String,
    pub(super) transport: String,
    pub(super) reason: String,
    pub(super) connections: u32,
    pub(super) size: u32,
    pub(super) seconds: u64,
    pub(super) models: Vec<Measured>,
}

/// One model. Everything but the first five is the server's.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) model: &'static str,
    pub(super) requests: u64,
    pub(super) requests_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) cpu_us_per_request: f64,
    pub(super) system_calls_per_request: f64,
    pub(super) bytes_copied_per_request: f64,
    /// Least of any sample taken while it ran: what stands queued all the time, without the sends that come and go.
    pub(super) requests_queued: u64,
    /// Most of any sample.
    pub(super) buffers_lent: u64,
    pub(super) buffer_memory_kib: u64,
}

const HEADER: [&str; 10] = [
    "model",
    "requests\nper s",
    "p50\nus",
    "p99\nus",
    "CPU us\n/req.",
    "calls\n/req.",
    "copied\nB/req.",
    "IRPs\nqueued",
    "buffers\nlent",
    "memory\nKiB",
];

impl Report {
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and text")
    }

    /// The table and the lines around it; `fine` with line-drawing characters.
    pub(super) fn table(&self, fine: bool) -> String {
        let mut table = Table::new();
        table.load_preset(if fine { presets::UTF8_FULL_CONDENSED } else { presets::ASCII_FULL_CONDENSED });
        table.set_header(HEADER);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for column in table.column_iter_mut() {
            column.set_padding((1, 1));
        }
        for model in &self.models {
            table.add_row(model.cells().map(Cell::new));
        }
        let copied = self.models.iter().any(|model| model.bytes_copied_per_request > 0.0);
        format!(
            "TCP echo over loopback, {} connections, {} B per request, {:.1} s per model; all bytes were right\n\n\
             {table}\n\n\
             From \"CPU\" on, the columns are the server's; the load runs in a subsystem of its own.\n\
             driver {}: {}\n\
             look at: functions keeps IRPs queued, each with a buffer of the server's own. The callback models\n\
             queue none for data: the subsystem lends its buffers while an answer is under way.{}",
            self.connections,
            self.size,
            self.seconds as f64 / self.models.len().max(1) as f64,
            self.transport,
            self.reason,
            if copied { "" } else { " Nothing is copied." },
        )
    }
}

impl Measured {
    fn cells(&self) -> [String; HEADER.len()] {
        [
            self.model.to_owned(),
            thousands(self.requests_per_second),
            thousands(self.p50_us),
            thousands(self.p99_us),
            // Some hosts do not account threads' CPU time.
            if self.cpu_us_per_request > 0.0 { format!("{:.2}", self.cpu_us_per_request) } else { "-".to_owned() },
            format!("{:.2}", self.system_calls_per_request),
            format!("{:.0}", self.bytes_copied_per_request),
            self.requests_queued.to_string(),
            self.buffers_lent.to_string(),
            thousands(self.buffer_memory_kib as f64),
        ]
    }
}

/// A number in whole units, in groups of three digits.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1234.0), "1,234");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }

    #[test]
    fn table_fits_a_hundred_columns() {
        let model = |model| Measured {
            model,
            requests: 9_999_999,
            requests_per_second: 999_999.0,
            p50_us: 999.0,
            p99_us: 10_999.0,
            cpu_us_per_request: 12.34,
            system_calls_per_request: 1.05,
            bytes_copied_per_request: 65536.0,
            requests_queued: 2064,
            buffers_lent: 1000,
            buffer_memory_kib: 65_536,
        };
        let report = Report {
            kernel: "Linux 6.18.0".into(),
            transport: "epoll".into(),
            reason: String::new(),
            connections: 1000,
            size: 65536,
            seconds: 5,
            models: vec![model("functions"), model("callbacks"), model("static callbacks")],
        };
        for fine in [true, false] {
            let text = report.table(fine);
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
            }
        }
    }
}
