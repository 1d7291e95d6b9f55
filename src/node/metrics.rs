//! `/metrics`: the state of the node in the text format of OpenMetrics, which Prometheus reads.
//!
//! Everything is made from one copy of the state when it is asked for: nothing is registered, so a lane that has gone
//! to another node leaves no figures behind. Labels are lane, shard, input, phase, outcome and reason; never a SKU, pool or
//! order id, of which there is no end.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::state::{LaneState, NodeState, ShardState, StateSource};
use crate::lane::snapshot::{COMMIT_BUCKETS_MS, InputSnapshot, Phase, outcome_name, reason_name};

/// What the endpoint says it serves.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const MS_PER_SECOND: f64 = 1_000.0;

/// Makes the page of metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Of this source.
    pub fn new(source: Arc<dyn StateSource>) -> Self {
        let mut registry = Registry::with_prefix("sluice");
        registry.register_collector(Box::new(Page(source)));
        Self { registry }
    }

    /// The page at this moment.
    pub fn page(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String never fails");
        page
    }
}

struct Page(Arc<dyn StateSource>);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

type Labels = Vec<(&'static str, String)>;

/// Writes families of metrics.
struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

/// Name, help and unit of a family. The unit is put behind the name, `_total` behind a counter's.
struct Family(&'static str, &'static str, Option<Unit>);

impl Families<'_> {
    fn gauges(&mut self, family: Family, rows: impl IntoIterator<Item = (Labels, f64)>) -> fmt::Result {
        self.rows(family, MetricType::Gauge, rows.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn counters(&mut self, family: Family, rows: impl IntoIterator<Item = (Labels, u64)>) -> fmt::Result {
        self.rows(
            family,
            MetricType::Counter,
            rows.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))),
        )
    }

    fn rows<M: EncodeMetric>(
        &mut self,
        Family(name, help, unit): Family,
        kind: MetricType,
        rows: impl Iterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, metric) in rows {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Rows of a sum, and of each bucket's upper bound and count, that of the last one infinite (`f64::MAX`).
    fn histograms(
        &mut self,
        Family(name, help, unit): Family,
        rows: impl Iterator<Item = (Labels, f64, Vec<(f64, u64)>)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
        for (labels, sum, buckets) in rows {
            let count = buckets.iter().map(|(_, count)| count).sum();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

fn of_shard(shard: &ShardState) -> Labels {
    vec![("shard", shard.figures.shard.to_string())]
}

fn of_lane(lane: &LaneState) -> Labels {
    vec![("lane", lane.lane.to_string())]
}

/// A row for each phase, 1 for the one that it is in.
fn phases(labels: Labels, at: Phase) -> impl Iterator<Item = (Labels, f64)> {
    Phase::ALL.into_iter().map(move |phase| {
        let mut labels = labels.clone();
        labels.push(("phase", phase.name().to_owned()));
        (labels, if at == phase { 1.0 } else { 0.0 })
    })
}

fn inputs(shard: &ShardState) -> [(Labels, InputSnapshot); 2] {
    [("orders", shard.figures.orders), ("stock", shard.figures.stock)].map(|(name, input)| {
        let mut labels = of_shard(shard);
        labels.push(("input", name.to_owned()));
        (labels, input)
    })
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let node = self.0.state();
        let mut families = Families { encoder };
        of_node(&node, &mut families)?;
        of_life(&node, &mut families)?;
        of_lanes(&node.lanes, &mut families)?;
        of_shards(&node.shards, &mut families)?;
        of_ledgers(&node.shards, &mut families)
    }
}

fn of_node(node: &NodeState, families: &mut Families<'_>) -> fmt::Result {
    let info = vec![("version", node.version.clone())];
    families.gauges(Family("build_info", "Version of the engine; always 1", None), [(info, 1.0)])?;
    families.gauges(
        Family("uptime", "Time since the process began", Some(Unit::Seconds)),
        [(vec![], node.uptime_ms as f64 / MS_PER_SECOND)],
    )?;
    families.gauges(
        Family("resident_memory", "Resident memory of the process", Some(Unit::Bytes)),
        [(vec![], node.memory_bytes as f64)],
    )?;
    families.gauges(
        Family("ready", "1 if /ready answers 200", None),
        [(vec![], if node.unready().is_empty() { 1.0 } else { 0.0 })],
    )
}

fn of_life(node: &NodeState, families: &mut Families<'_>) -> fmt::Result {
    families.gauges(
        Family("lane_phase", "1 for the phase that the lane is in, 0 for the others", None),
        node.lanes.iter().flat_map(|lane| phases(of_lane(lane), lane.figures.phase)),
    )?;
    families.gauges(
        Family("shard_phase", "1 for the phase that the shard is in, 0 for the others", None),
        node.shards.iter().flat_map(|shard| phases(of_shard(shard), shard.figures.phase)),
    )?;
    families.gauges(
        Family("lane_epoch", "How often the lane has changed owner", None),
        node.lanes.iter().map(|lane| (of_lane(lane), lane.figures.epoch as f64)),
    )?;
    families.gauges(
        Family("shard_time", "The shard's time, since the Unix epoch", Some(Unit::Seconds)),
        node.shards.iter().map(|shard| (of_shard(shard), shard.figures.shard_time_ms as f64 / MS_PER_SECOND)),
    )?;
    families.gauges(
        Family("recovery_remaining_offsets", "Offsets of the log that a recovery has still to read", None),
        node.lanes.iter().map(|lane| {
            let recovery = lane.figures.recovery;
            let is_under_way = lane.figures.phase == Phase::Recovering;
            let left = if is_under_way { (recovery.end - recovery.offset).max(0) } else { 0 };
            (of_lane(lane), left as f64)
        }),
    )
}

fn of_lanes(lanes: &[LaneState], families: &mut Families<'_>) -> fmt::Result {
    families.histograms(
        Family("commit_duration", "From the hand-over of a batch to the end of its commit", Some(Unit::Seconds)),
        lanes.iter().map(|lane| {
            let bounds = COMMIT_BUCKETS_MS.iter().map(|&ms| ms as f64 / MS_PER_SECOND).chain([f64::MAX]);
            let buckets = bounds.zip(lane.figures.commit_buckets).collect();
            (of_lane(lane), lane.figures.commit_ms as f64 / MS_PER_SECOND, buckets)
        }),
    )?;
    families.counters(
        Family("log_looks", "Commits that were looked up in the log because they failed or looked odd", None),
        lanes.iter().map(|lane| (of_lane(lane), lane.figures.looks)),
    )?;
    families.counters(
        Family("batch_resends", "Batches of which links had to be sent again", None),
        lanes.iter().map(|lane| (of_lane(lane), lane.figures.resends)),
    )?;
    families.gauges(
        Family("last_batch_decisions", "Decisions of the last batch", None),
        lanes.iter().map(|lane| (of_lane(lane), lane.figures.last_decisions as f64)),
    )?;
    families.gauges(
        Family("last_batch_links", "Links of the last batch", None),
        lanes.iter().map(|lane| (of_lane(lane), lane.figures.last_links as f64)),
    )?;
    families.gauges(
        Family("last_batch", "Size of the last batch", Some(Unit::Bytes)),
        lanes.iter().map(|lane| (of_lane(lane), lane.figures.last_bytes as f64)),
    )
}

fn of_shards(shards: &[ShardState], families: &mut Families<'_>) -> fmt::Result {
    families.counters(
        Family("decisions", "Decisions committed, by outcome and reason", None),
        shards.iter().flat_map(|shard| {
            shard.figures.decisions.iter().map(|&(outcome, reason, count)| {
                let mut labels = of_shard(shard);
                labels.push(("outcome", outcome_name(outcome)));
                labels.push(("reason", reason_name(reason)));
                (labels, count)
            })
        }),
    )?;
    families.gauges(
        Family("last_sequence", "Sequence of the last decision that is committed", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.sequence as f64)),
    )?;
    families.counters(
        Family("dead_letters", "Records that could not be read", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.dead_letters)),
    )?;
    families.counters(
        Family("lost_replies", "Replies asked for in a partition that the topic does not have", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.lost_replies)),
    )?;
    families.gauges(
        Family("input_position_offset", "Every record below it is decided and committed", None),
        shards.iter().flat_map(inputs).map(|(labels, input)| (labels, input.position as f64)),
    )?;
    families.gauges(
        Family("input_lag_offsets", "Offsets below the high watermark that are not decided", None),
        shards.iter().flat_map(inputs).map(|(labels, input)| (labels, input.lag() as f64)),
    )?;
    families.gauges(
        Family("input_stable_age", "How long an open upstream transaction has held records back", Some(Unit::Seconds)),
        shards.iter().flat_map(inputs).map(|(labels, input)| (labels, input.stable_age_ms as f64 / MS_PER_SECOND)),
    )
}

fn of_ledgers(shards: &[ShardState], families: &mut Families<'_>) -> fmt::Result {
    families.gauges(
        Family("rules_level", "The rules level of the shard's log", None),
        shards.iter().map(|shard| (of_shard(shard), f64::from(shard.figures.rules_level))),
    )?;
    families.gauges(
        Family("open_orders", "Orders held or committed", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.open_orders as f64)),
    )?;
    families.gauges(
        Family("remembered_ids", "Identities remembered", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.remembered_ids as f64)),
    )?;
    families.gauges(
        Family("ledger", "What a ledger takes", Some(Unit::Bytes)),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.ledger_bytes as f64)),
    )?;
    families.gauges(
        Family("stock_rows", "Stock rows (pool and SKU)", None),
        shards.iter().map(|shard| (of_shard(shard), shard.figures.stock_rows as f64)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::Fixed;
    use super::*;
    use crate::lane::{LaneSnapshot, ShardSnapshot};
    use crate::wire::proto::{Outcome, Reason};

    fn page(shard: ShardSnapshot) -> String {
        let figures = ShardSnapshot { shard: 3, ..shard };
        page_of(NodeState { shards: vec![ShardState { lane: 1, figures }], ..NodeState::default() })
    }

    fn page_of(node: NodeState) -> String {
        Metrics::new(Arc::new(Fixed(node))).page()
    }

    #[track_caller]
    fn check(page: &str, line: &str) {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }

    #[test]
    fn figures_carry_base_units_and_counters_end_in_total() {
        let page = page(ShardSnapshot {
            orders: InputSnapshot { position: 10, stable: 40, high: 50, stable_age_ms: 1_500 },
            decisions: vec![(Outcome::Rejected, Reason::OutOfStock, 7)],
            ledger_bytes: 1_024,
            ..ShardSnapshot::default()
        });
        check(&page, r#"sluice_decisions_total{shard="3",outcome="rejected",reason="out_of_stock"} 7"#);
        check(&page, r#"sluice_input_lag_offsets{shard="3",input="orders"} 40.0"#);
        check(&page, r#"sluice_input_stable_age_seconds{shard="3",input="orders"} 1.5"#);
        check(&page, r#"sluice_ledger_bytes{shard="3"} 1024.0"#);
        check(&page, "# EOF");
    }

    #[test]
    fn the_histogram_of_commits_is_cumulative_and_ends_at_infinity() {
        let mut lane = LaneSnapshot { commit_ms: 500, ..LaneSnapshot::default() };
        (lane.commit_buckets[0], lane.commit_buckets[4]) = (2, 3);
        *lane.commit_buckets.last_mut().expect("there are some") = 1;
        let lanes = vec![LaneState { lane: 3, figures: lane, ..LaneState::default() }];
        let page = page_of(NodeState { lanes, ..NodeState::default() });
        check(&page, r#"sluice_commit_duration_seconds_bucket{le="0.001",lane="3"} 2"#);
        check(&page, r#"sluice_commit_duration_seconds_bucket{le="0.008",lane="3"} 5"#);
        check(&page, r#"sluice_commit_duration_seconds_bucket{le="+Inf",lane="3"} 6"#);
        check(&page, r#"sluice_commit_duration_seconds_count{lane="3"} 6"#);
        check(&page, r#"sluice_commit_duration_seconds_sum{lane="3"} 0.5"#);
    }

    #[test]
    fn a_shard_that_left_leaves_no_figures() {
        let page = page_of(NodeState::default());
        assert!(!page.contains("shard=") && !page.contains("lane="));
    }

    #[test]
    fn a_shard_is_in_one_phase() {
        let page = page(ShardSnapshot { phase: Phase::Failed, ..ShardSnapshot::default() });
        check(&page, r#"sluice_shard_phase{shard="3",phase="failed"} 1.0"#);
        check(&page, r#"sluice_shard_phase{shard="3",phase="running"} 0.0"#);
    }
}
