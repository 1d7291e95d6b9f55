//! What is printed when a run has ended.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table, TableComponent};

use super::format::{bytes, count, quantity, time_us};
use super::metric::Unit;
use super::{Check, Ended, Flood, Latency, Report, Side};

/// Columns of a latency table, and the percentile in each.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

impl Report {
    /// The result as text: what was run, figures, who used what, and the verdict last, where the eye is.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.headline(), self.setting());
        let tables = [self.load_table(), self.latency_table(), self.usage_table(), self.verdict_table()];
        for table in tables.into_iter().filter(|table| table.row_count() > 0) {
            text.push_str(&format!("{table}\n\n"));
        }
        for note in &self.notes {
            text.push_str(&format!("Note: {note}\n"));
        }
        text.push_str(&format!("{}\n{}\n", self.saturation.explained, self.result_line()));
        text
    }

    /// Which run this is, in a line.
    pub fn headline(&self) -> String {
        let meta = &self.meta;
        format!("{} · run {} · seed {} · {}", meta.scenario, meta.run_id, meta.seed, meta.started_at)
    }

    /// What a figure means nothing without, in a line: shards, records, engine, cluster and host.
    pub fn setting(&self) -> String {
        let (meta, totals) = (&self.meta, &self.totals);
        let shards = format!("{} shards in {} lanes", meta.shards, meta.lanes());
        let size = bytes(totals.record_bytes / totals.records.max(1));
        let records = format!("{} orders and {size} a record", meta.orders_per_record);
        let engine = meta.engine.as_ref().map(|engine| format!("engine {engine}"));
        let host = format!("{} × {}", meta.host_cores, meta.host_cpu);
        let parts = [Some(shards), Some(records), engine, meta.cluster.clone(), Some(host)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// Whether the run passed, in a line.
    pub fn result_line(&self) -> String {
        let missed = self.verdicts.iter().filter(|verdict| !verdict.held).count();
        let wrong: u64 = self.verification.findings.iter().map(|finding| finding.count).sum();
        let ended = match &self.ended {
            Ended::Completed => String::new(),
            Ended::Interrupted => "INTERRUPTED: the figures cover what was sent until then. ".to_owned(),
            Ended::Broken(why) => format!("BROKEN OFF: {why}. "),
        };
        let found = match (wrong, self.verification.complete, missed) {
            (1.., ..) => format!("FAILED: {} decisions are not as they must be", count(wrong)),
            (_, false, _) => "NOT VERIFIED: the decisions could not be read to their end".to_owned(),
            (_, true, 1..) => format!("FAILED: thresholds missed: {missed} of {}", self.verdicts.len()),
            (_, true, 0) => match self.verdicts.len() {
                0 => "PASSED: every decision is as it must be; no thresholds were set".to_owned(),
                all => format!("PASSED: every decision is as it must be, thresholds held: {all} of {all}"),
            },
        };
        let bound = match (self.saturation.generator_bound, self.saturation.crowded) {
            (true, _) => ". The generator was the bottleneck: this says nothing of what the engine can do",
            (_, true) => ". The host was crowded: on a quiet one the figures may be better",
            _ => "",
        };
        format!("{ended}{found}{bound}")
    }

    /// The mean rate over the load of a counter of the totals, in commands a second.
    pub fn mean_rate(&self, commands: u64) -> f64 {
        if self.totals.load_s > 0.0 { commands as f64 / self.totals.load_s } else { 0.0 }
    }

    /// Commands decided a second while there was load: what was decided in the drain is no speed under load.
    pub fn decided_rate(&self) -> f64 {
        self.mean_rate(self.load_seconds().iter().map(|second| second.decided).sum())
    }

    fn load_table(&self) -> Table {
        let totals = &self.totals;
        let mut table = table(&["load", "commands", "mean over the load"]);
        let mut row = |name: &str, commands: u64, rate: Option<f64>| {
            let rate = rate.map(|rate| quantity(rate, Unit::Rate)).unwrap_or_default();
            table.add_row([name.to_owned(), count(commands), rate]);
        };
        row("asked", totals.asked, Some(self.mean_rate(totals.asked)));
        row("sent", totals.sent, Some(self.mean_rate(totals.sent)));
        if totals.unsent > 0 {
            row("not sent in time", totals.unsent, None);
        }
        if totals.failed > 0 {
            row("failed to send", totals.failed, None);
        }
        row("decided", totals.decided, Some(self.decided_rate()));
        for (outcome, total) in &self.outcomes {
            row(&format!("  {outcome}"), total.count, None);
        }
        table.add_row(["poison, dead letters".to_owned(), count(totals.poison), count(totals.dead_letters)]);
        table.add_row([
            format!("{} of load, {} of drain", time_us(totals.load_s * 1e6), time_us(totals.drain_s * 1e6)),
            format!("{} records", count(totals.records)),
            String::new(),
        ]);
        right_aligned(table, 1)
    }

    fn latency_table(&self) -> Table {
        let mut header = vec!["intended send to decision readable"];
        header.extend(PERCENTILES.map(|(name, _)| name));
        header.push("max");
        let mut table = table(&header);
        let mut row = |name: &str, latency: &Latency| {
            if latency.is_empty() {
                return;
            }
            let mut cells = vec![name.to_owned()];
            cells.extend(PERCENTILES.map(|(_, percent)| time_us(latency.percentile_us(percent) as f64)));
            cells.push(time_us(latency.max_us() as f64));
            table.add_row(cells);
        };
        row("all", &self.latency);
        for (outcome, total) in &self.outcomes {
            row(&format!("  {outcome}"), &total.latency);
        }
        for (name, latency) in self.flood.iter().flat_map(Flood::parts) {
            row(&format!("  {}", name.replace('_', " ")), latency);
        }
        row("of it generator lag", &self.generator_lag);
        right_aligned(table, 1)
    }

    fn usage_table(&self) -> Table {
        let mut table = table(&["over the load", "cores, mean", "cores, peak", "CPU a command", "memory, peak"]);
        for side in Side::ALL {
            let Some(total) = self.saturation.sides.get(&side) else { continue };
            table.add_row([
                side.name().to_owned(),
                format!("{:.2}", total.mean_cores),
                format!("{:.2}", total.peak_cores),
                time_us(total.cpu_us_per_command),
                total.peak_rss_bytes.map(bytes).unwrap_or_default(),
            ]);
        }
        right_aligned(table, 1)
    }

    fn verdict_table(&self) -> Table {
        let mut table = table(&["promise or threshold", "found", ""]);
        for check in Check::ALL {
            let found = self.verification.count(check);
            let verdict = match (found, self.verification.complete) {
                (1.., _) => "BROKEN",
                (0, true) => "kept",
                (0, false) => "not proven",
            };
            table.add_row([
                check.promise().to_owned(),
                format!("{} {}", count(found), check.name()),
                verdict.to_owned(),
            ]);
            for example in self.verification.findings.iter().filter(|finding| finding.check == check) {
                for example in example.examples.iter().take(3) {
                    table.add_row([format!("  {example}"), String::new(), String::new()]);
                }
            }
        }
        for verdict in &self.verdicts {
            let held = if verdict.held { "held" } else { "MISSED" };
            table.add_row([verdict.threshold.clone(), verdict.found.clone(), held.to_owned()]);
        }
        table
    }
}

/// A table with a line under its header, and nothing else that costs the eye or a row.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    table.set_style(TableComponent::HeaderLines, '─').set_style(TableComponent::MiddleHeaderIntersections, '─');
    table
}

/// Figures are compared by their right ends.
pub(crate) fn right_aligned(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
