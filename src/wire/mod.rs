//! Record bytes to [`Command`]s, and [`Decision`]s to record bytes: the wire contract of `proto/` and its limits.
//!
//! [`proto`] has the generated types, for everybody who is not on the way of an order. The engine itself reads
//! commands as borrowed views and writes decisions straight into a link's buffer.

pub mod limits; // how long, how many, how large, and why
pub mod route; // which partition a pool belongs to
pub mod layout; // which shards share a log
pub mod framing; // schema-registry framing, skipped
pub mod decode; // record values to commands, in two passes
pub mod keys; // field numbers and wire types, from the .proto files
mod fields; // protobuf's wire format, read
pub mod text; // UTF-8, checked once
pub mod command; // a command, borrowed
pub mod selling; // selling rules and what orders bring for them, borrowed
pub mod lots; // lots of a stock row, as commands name them and decisions tell of them
pub mod day; // days of the calendar, as numbers to reckon with
pub mod content; // the hash that tells a changed copy from a true one
pub mod decision; // a decision, borrowed
pub mod encode; // decisions to bytes
mod put; // protobuf's wire format, written
pub mod link; // links, filled and sealed; genesis and fence
pub mod chain; // what makes records one log: sequences, hashes, segments that join
pub mod entry; // a record of the log to its decisions
pub mod view; // bytes to decisions
pub(crate) mod hex; // bytes as people compare them

pub use command::{Command, Kind, LinesBuf, OrderLine, OrderLines, Place, StockChange};
pub use decision::{Decision, DecisionLine, DecisionLines, Original, Source, StockLevel};
pub use layout::Layout;
pub use lots::{Freshness, LotLevel, LotPart, LotUnits, NamedLot, ShippedLot, ShippedLots};
pub use selling::{
    ChannelShare, Channels, Counted, Delivery, DeliveryAsked, DeliveryService, Limit, Rule, Sale, Vouched,
};
pub use text::Text;

/// The types generated from `proto/sluice/v1`.
#[allow(missing_docs, reason = "generated; the comments are those of the .proto files")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/sluice.v1.rs"));
}
