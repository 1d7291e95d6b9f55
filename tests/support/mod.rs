//! What the end-to-end tests share.

pub(crate) mod audit;
pub(crate) mod book;
pub(crate) mod engine;
pub(crate) mod input;
pub(crate) mod kafka;
pub(crate) mod lane;
pub(crate) mod model;
pub(crate) mod orders;
pub(crate) mod report;
pub(crate) mod selling;
pub(crate) mod tail;
pub(crate) mod topics;
pub(crate) mod traffic;
pub(crate) mod verify;
