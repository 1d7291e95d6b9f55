//! Beginning the logs: the genesis of each lane, several lanes at a time.
//!
//! Each lane has a transactional id and a log of its own, so that nothing of one depends on another: whoever is killed in
//! the middle leaves some begun and the others empty, and whoever runs the command again goes on from there.

use super::create::CreateError;
use super::facts::Begun;
use super::genesis::{self, Topics, Written};
use super::plan::Plan;
use super::side::side_by_side;
use crate::broker::{Broker, Fault};
use crate::kafka::admin::Admin;
use crate::wire::proto::Genesis;

/// Lanes that are begun at a time: each waits for its coordinator most of the time, and each needs a client with threads of
/// its own.
const AT_A_TIME: usize = 16;

/// Begins what has not begun; tells how many that was, and how many had begun before.
pub(super) fn logs<B: Broker>(
    admin: &Admin,
    broker: &B,
    plan: &Plan,
    topics: &Topics,
    decisions: &str,
    say: &mut dyn FnMut(&str),
) -> Result<(usize, usize), CreateError> {
    let begin = |lane: u32| {
        let bounds = || admin.watermarks(decisions, lane);
        let wanted = topics.genesis(lane, plan.window, plan.skew, plan.rules_level);
        genesis::write(broker, &wanted, &bounds, genesis::READ_TIMEOUT)
    };
    let lanes: Vec<u32> = (0..topics.layout.lanes).collect();
    let (mut now, mut before) = (0, 0);
    let mut each = |lane, written: Result<Written, Fault>| -> Result<(), CreateError> {
        match written? {
            Written::Now => now += 1,
            Written::Before(begun) => {
                judge(&begun, lane, plan, topics, decisions)?;
                before += 1;
            }
        }
        Ok(())
    };
    let mut tell = |done| say(&format!("logs: {done} of {} begun", lanes.len()));
    side_by_side(&lanes, AT_A_TIME, begin, &mut each, &mut tell)?;
    Ok((now, before))
}

/// Whether what a log begins with is the genesis that is asked for.
fn judge(begun: &Begun, lane: u32, plan: &Plan, topics: &Topics, decisions: &str) -> Result<(), CreateError> {
    let other = |what: String| Err(CreateError::OtherLog { topic: decisions.to_owned(), lane, what });
    match begun {
        Begun::Genesis(found) => {
            if let Some(difference) = genesis::differences(found, lane, topics).into_iter().next() {
                return other(difference.found);
            }
            let rules = |genesis: &Genesis| (genesis.window_ms, genesis.skew_ms);
            let wanted = rules(&topics.genesis(lane, plan.window, plan.skew, plan.rules_level));
            if rules(found) != wanted {
                return Err(CreateError::Rules { topic: decisions.to_owned(), lane, found: rules(found), wanted });
            }
            Ok(())
        }
        Begun::Trimmed(first) => other(format!("its start was deleted, it begins at offset {first}")),
        Begun::Other(what) => other(what.clone()),
    }
}
