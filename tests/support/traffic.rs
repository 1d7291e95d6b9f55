//! Publishes an order stream, whole or for as long as a test lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluice::wire::proto::Input;

use super::engine::Deployment;
use super::orders::{Orders, Plan, Sent};
use super::topics::{Publish, Sender};

/// Publishes the opening stock and `orders` new orders with all that comes between them, as fast as the broker takes
/// them.
pub(crate) fn publish(deployment: &Deployment, plan: Plan, orders: u64) {
    let feed = Feed::new(deployment, plan);
    feed.run(|published| published < orders);
}

/// A stream that flows in the background until it is stopped.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flow {
    /// Starts with the opening stock, then publishes about `per_second` new orders a second.
    pub(crate) fn start(deployment: &Deployment, plan: Plan, per_second: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::new(AtomicU64::new(0));
        let feed = Feed::new(deployment, plan);
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&published));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            feed.run(|orders| {
                count.store(orders, Ordering::Relaxed);
                let due = Duration::from_micros(orders * 1_000_000 / per_second);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                !stopped.load(Ordering::Relaxed)
            });
        });
        Self { stop, published, thread: Some(thread) }
    }

    /// Ends the stream, waits until the broker has all of it, and says how many orders were in it.
    pub(crate) fn stop(mut self) -> u64 {
        self.end().expect("the stream did not fail");
        self.published.load(Ordering::Relaxed)
    }

    fn end(&mut self) -> std::thread::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // A test that failed already says why.
        let _ = self.end();
    }
}

struct Feed {
    orders: Orders,
    sender: Sender,
    topics: [String; 2],
}

impl Feed {
    fn new(deployment: &Deployment, plan: Plan) -> Self {
        let topics = [deployment.topic("orders"), deployment.topic("stock")];
        Self { orders: Orders::new(plan), sender: Sender::new(&deployment.bootstrap), topics }
    }

    /// Publishes for as long as `more` says so of the number of orders so far.
    fn run(mut self, mut more: impl FnMut(u64) -> bool) {
        for record in self.orders.opening_stock() {
            self.send(&record);
        }
        // Orders that find no stock at all would be dull.
        self.sender.flush();
        let mut orders = 0;
        while more(orders) {
            for record in self.orders.next() {
                orders += record.orders;
                self.send(&record);
            }
        }
        self.sender.flush();
    }

    fn send(&self, record: &Sent) {
        let topic = if record.input == Input::Orders { &self.topics[0] } else { &self.topics[1] };
        let value = record.value.as_deref();
        self.sender.send(Publish { topic, partition: None, key: record.key.as_bytes(), value });
    }
}
