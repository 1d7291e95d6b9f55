//! What the links of a shard say of its inputs and of its time: each goes on where the one before it ended.

use sluice::wire::proto::{Input, LinkHeader, Segment};

use super::Shard;
use crate::report::result::Check;

/// How far a shard has come, as its links say; none before the first that was read.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Offset of the last record decided, of orders and of stock.
    decided: [Option<i64>; 2],
    /// The shard's time.
    time_ms: Option<i64>,
}

impl Shard {
    /// Takes in what the shard's next link says of its input.
    pub fn header(&mut self, header: &LinkHeader) {
        let shard = self.number;
        for Segment { input, from_offset, to_offset, .. } in &header.segments {
            let decided = match Input::try_from(*input) {
                Ok(Input::Orders) => &mut self.reached.decided[0],
                Ok(Input::Stock) => &mut self.reached.decided[1],
                _ => {
                    self.findings.add(Check::Wrong, || format!("shard {shard}: a segment of input {input}"));
                    continue;
                }
            };
            let last = decided.replace(*to_offset).unwrap_or(*from_offset);
            let check = match from_offset.cmp(&last) {
                _ if to_offset <= from_offset => Check::Wrong,
                std::cmp::Ordering::Equal => continue,
                std::cmp::Ordering::Greater => Check::Lost,
                std::cmp::Ordering::Less => Check::Doubled,
            };
            let segment = format!("({from_offset}, {to_offset}] of input {input}");
            self.findings.add(check, || format!("shard {shard}: segment {segment} behind offset {last}"));
        }
        for letter in &header.dead_letters {
            let holds = |segment: &Segment| {
                let within = segment.from_offset < letter.offset && letter.offset <= segment.to_offset;
                segment.input == letter.input && within
            };
            if !header.segments.iter().any(holds) {
                self.findings.add(Check::Wrong, || format!("shard {shard}: {letter:?} is not in its link's segments"));
            }
        }
        let now_ms = header.shard_time_ms;
        if let Some(before_ms) = self.reached.time_ms.replace(now_ms).filter(|before_ms| now_ms < *before_ms) {
            self.findings.add(Check::Wrong, || format!("shard {shard}: its time falls from {before_ms} to {now_ms}"));
        }
    }
}
