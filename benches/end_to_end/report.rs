//! The table that a run ends with.

use serde::Serialize;

use crate::children::{Busy, Figures};

/// One measured run.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    per_record: usize,
    shards: u32,
    orders: u64,
    seconds: f64,
    orders_per_second: f64,
    /// CPU of the part that is measured, microseconds an order.
    cpu_us: f64,
    /// CPU of the generator beside it.
    generator_us: Option<f64>,
    /// CPU of the broker, from before the part started to after it ended.
    broker_us: f64,
    /// Share of the machine's CPU time that was used by anybody.
    utilisation: f64,
}

impl Row {
    /// Of the figures of the parts, the first of them being what is measured, the second a generator beside it.
    pub(crate) fn new(
        name: &str,
        per_record: usize,
        shards: u32,
        figures: &[Figures],
        broker_seconds: f64,
        machine: Busy,
    ) -> Self {
        let measured = &figures[0];
        let us = |seconds: f64| seconds * 1e6 / measured.orders as f64;
        // Beside a generator the clock runs from its first order.
        let seconds = figures.get(1).map_or(measured.seconds, |generator| measured.ended - generator.began);
        Self {
            name: name.to_owned(),
            per_record,
            shards,
            orders: measured.orders,
            seconds,
            orders_per_second: measured.orders as f64 / seconds,
            cpu_us: us(measured.cpu_seconds),
            generator_us: figures.get(1).map(|generator| us(generator.cpu_seconds)),
            broker_us: us(broker_seconds),
            utilisation: machine.share(),
        }
    }
}

/// Prints the rows, and the ratios that the goals are stated in.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{:<24} {:>10} {:>6} {:>12} {:>12} {:>10} {:>13} {:>11}",
        "", "per record", "shards", "orders/s", "its CPU us", "broker us", "generator us", "CPU in use"
    );
    for row in rows {
        let generator = row.generator_us.map_or_else(String::new, |us| format!("{us:.2}"));
        println!(
            "{:<24} {:>10} {:>6} {:>12.0} {:>12.2} {:>10.2} {:>13} {:>10.0}%",
            row.name,
            row.per_record,
            row.shards,
            row.orders_per_second,
            row.cpu_us,
            row.broker_us,
            generator,
            row.utilisation * 100.0
        );
    }
    println!();
    for per_record in [1, crate::BATCHED] {
        let rate = |name: &str| {
            rows.iter().find(|row| row.name == name && row.per_record == per_record).map(|row| row.orders_per_second)
        };
        let (Some(bare), Some(exactly), Some(at_least)) =
            (rate("bare consumer"), rate("engine, exactly once"), rate("engine, at least once"))
        else {
            continue;
        };
        println!(
            "{per_record:>3} a record: exactly once / bare {:.2}, exactly once / at least once {:.2}",
            exactly / bare,
            exactly / at_least
        );
    }
}
