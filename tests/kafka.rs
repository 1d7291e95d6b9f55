//! The Kafka side against a real Apache Kafka: what the conformance suite cannot ask of every broker.

#[path = "support/kafka.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sluice::broker::{
    Broker, Fault, Input, Inputs, LogReader, LogWriter, Outgoing, Output, Position, ReadFrom, Records, TimestampKind,
};
use sluice::devbroker::{Cluster, Options};
use sluice::kafka::admin::{Admin, BrokerAge, CreateTopicError, TopicSpec, broker_age};
use sluice::kafka::membership::{Event, Membership};
use sluice::kafka::{Delivery, KafkaBroker, KafkaInputs, KafkaWriter, Properties, Settings, TopicNames};
use sluice::wire::Layout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Topics of their own for each test, two partitions each.
fn world(kafka: &Cluster, name: &str) -> (Settings, Admin) {
    static N: AtomicU32 = AtomicU32::new(0);
    let n = N.fetch_add(1, Ordering::Relaxed);
    let unique = format!("{name}-{}-{n}", std::process::id());
    let topic = |kind: &str| format!("{unique}-{kind}");
    let settings = Settings {
        bootstrap_servers: kafka.bootstrap(),
        client_id: unique.clone(),
        group_id: unique.clone(),
        topics: TopicNames {
            orders: topic("orders"),
            stock: topic("stock"),
            decisions: topic("decisions"),
            replies: topic("replies"),
            dead_letters: topic("dead-letters"),
            per_decision: Some(topic("each")),
        },
        common: Properties::new(),
        consumer: Properties::new(),
        producer: Properties::new(),
        commit_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(20),
        session_timeout: Duration::from_secs(6),
        receive_queue_bytes: 8 << 20,
        delivery: Delivery::Transactional,
    };
    let admin = Admin::new(&settings, PATIENCE).expect("a client is made");
    let spec = |name: &str, input: bool| TopicSpec {
        name: name.to_owned(),
        partitions: 2,
        replication: Some(1),
        config: if input {
            [("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())].into()
        } else {
            BTreeMap::new()
        },
    };
    let t = &settings.topics;
    let specs = [
        spec(&t.orders, true),
        spec(&t.stock, true),
        spec(&t.decisions, false),
        spec(&t.replies, false),
        spec(&t.dead_letters, false),
        spec(t.per_decision.as_deref().unwrap_or_default(), false),
    ];
    for made in admin.create_topics(&specs) {
        made.expect("the topic is created");
    }
    (settings, admin)
}

fn decision(value: &[u8]) -> Outgoing<'_> {
    Outgoing { output: Output::Decisions, key: None, value: Some(value), headers: &[] }
}

/// Markers follow the answer to a commit, so an end is waited for.
fn await_end(admin: &Admin, topic: &str, shard: u32, end: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = admin.watermarks(topic, shard).expect("the broker answers");
        if found == (0, end) {
            return;
        }
        assert!(found.1 < end && Instant::now() < deadline, "{found:?}");
    }
}

fn read_all(broker: &KafkaBroker, shard: u32, until: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = broker.reader(shard, 0).expect("a reader is made");
    let mut values = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while values.last().is_none_or(|last: &Vec<u8>| last != until) {
        reader.read(Duration::from_millis(200), &mut |_, value| values.push(value.to_vec())).expect("it can be read");
        assert!(Instant::now() < deadline, "{values:?}");
    }
    values
}

fn upstream(settings: &Settings, id: Option<&str>) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.bootstrap_servers).set("linger.ms", "0");
    if let Some(id) = id {
        config.set("transactional.id", id);
    }
    let producer: BaseProducer = config.create().expect("a producer is made");
    if id.is_some() {
        producer.init_transactions(PATIENCE).expect("transactions can be used");
    }
    producer
}

fn publish(producer: &BaseProducer, topic: &str, shard: i32, value: &str) {
    let record = BaseRecord::<str, str>::to(topic).partition(shard).key("pool").payload(value);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(PATIENCE).expect("it arrives");
}

fn until<T>(inputs: &mut KafkaInputs, mut step: impl FnMut(&mut KafkaInputs) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = step(inputs) {
            return done;
        }
        assert!(Instant::now() < deadline, "nothing came");
        inputs.wait(Duration::from_millis(20));
    }
}

#[test]
fn what_is_committed_is_read_back_in_order() {
    let kafka = cluster::share();
    let (settings, _) = world(&kafka, "commit");
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let mut writer = broker.writer(0).expect("a producer is made");
    writer.init(PATIENCE).expect("it is the first");
    for i in 0..60 {
        writer.begin().expect("begins");
        writer.send(decision(format!("d{i}").as_bytes())).expect("sent");
        writer.commit(PATIENCE).expect("committed");
    }
    assert_eq!(read_all(&broker, 0, b"d59").len(), 60);
}

#[test]
fn the_later_writer_of_a_shard_fences_the_earlier_and_ends_its_transaction() {
    let kafka = cluster::share();
    let (settings, admin) = world(&kafka, "fence");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let mut first = broker.writer(1).expect("a producer is made");
    first.init(PATIENCE).expect("it is the first");
    first.begin().expect("begins");
    first.send(decision(b"lost")).expect("sent");
    let mut second = broker.writer(1).expect("a producer is made");
    let deadline = Instant::now() + PATIENCE;
    while admin.watermarks(&topics.decisions, 1).expect("it answers").1 == 0 {
        assert!(Instant::now() < deadline, "librdkafka sends without being asked to");
    }
    second.init(PATIENCE).expect("it takes over");
    second.begin().expect("begins");
    second.send(decision(b"kept")).expect("sent");
    second.commit(PATIENCE).expect("committed");
    let fault = first.commit(PATIENCE).expect_err("it was fenced");
    assert!(matches!(fault, Fault::Fenced(_)), "{fault:?}");
    let again =
        first.begin().and_then(|()| first.send(decision(b"x"))).and_then(|()| first.commit(PATIENCE).map(|_| ()));
    assert!(matches!(again, Err(Fault::Fenced(_))), "{again:?}");
    assert_eq!(read_all(&broker, 1, b"kept"), [b"kept".to_vec()]);
}

#[test]
fn outputs_go_to_their_topics_and_an_answer_wanted_where_nothing_is_costs_nobody_else() {
    let kafka = cluster::share();
    let (settings, admin) = world(&kafka, "outputs");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let mut writer = broker.writer(1).expect("a producer is made");
    writer.init(PATIENCE).expect("it is the first");
    writer.begin().expect("begins");
    let headers = [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)];
    for (output, headers) in [
        (Output::Decisions, &headers[..0]),
        (Output::Replies(0), &headers[..0]),
        (Output::Replies(77), &headers[..0]),
        (Output::DeadLetters(0), &headers[..]),
        (Output::PerDecision, &headers[..0]),
    ] {
        writer.send(Outgoing { output, key: Some(b"k"), value: Some(b"v"), headers }).expect("sent");
    }
    writer.commit(PATIENCE).expect("committed");
    // A record and the marker of its transaction.
    await_end(&admin, &topics.decisions, 1, 2);
    await_end(&admin, &topics.decisions, 0, 0);
    await_end(&admin, &topics.replies, 0, 2);
    await_end(&admin, &topics.dead_letters, 0, 2);
}

#[test]
fn positions_pass_markers_and_aborted_data_and_ends_tell_open_transactions() {
    let kafka = cluster::share();
    let (settings, _) = world(&kafka, "inputs");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(settings.clone()).expect("clients are made");
    let plain = upstream(&settings, None);
    publish(&plain, &topics.orders, 0, "o0");
    publish(&plain, &topics.orders, 0, "o1");
    let aborting = upstream(&settings, Some(&format!("{}-up", settings.client_id)));
    aborting.begin_transaction().expect("begins");
    publish(&aborting, &topics.orders, 0, "gone");
    aborting.abort_transaction(PATIENCE).expect("aborted");

    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("consumers are made");
    let batch = until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 100).expect("it can be read"));
    assert_eq!(batch.len(), 2);
    let record = batch.get(1);
    assert_eq!((record.offset, record.timestamp_kind), (1, TimestampKind::LogAppend));
    assert_eq!((record.key, record.value), (Some(&b"pool"[..]), Some(&b"o1"[..])));
    until(&mut inputs, |inputs| {
        assert!(inputs.poll(0, Input::Orders, 100).expect("it can be read").is_none());
        (inputs.position(0, Input::Orders) == 4).then_some(())
    });

    aborting.begin_transaction().expect("begins");
    publish(&aborting, &topics.orders, 0, "open");
    inputs.ask_ends(0, 7);
    let ends = until(&mut inputs, |inputs| inputs.ends().map(|(_, ends)| ends));
    assert_eq!((ends.ticket, ends.orders.stable, ends.orders.high), (7, 4, 5));
    assert_eq!((ends.stock.stable, ends.stock.high), (0, 0));
    aborting.commit_transaction(PATIENCE).expect("committed");
    let batch = until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 100).expect("it can be read"));
    assert_eq!(batch.get(0).value, Some(&b"open"[..]));
    until(&mut inputs, |inputs| {
        let _ = inputs.poll(0, Input::Orders, 100).expect("it can be read");
        (inputs.position(0, Input::Orders) == 6).then_some(())
    });

    inputs.tick(0).expect("there is room");
    let batch = until(&mut inputs, |inputs| inputs.poll(0, Input::Stock, 100).expect("it can be read"));
    assert_eq!(batch.get(0).timestamp_kind, TimestampKind::LogAppend);
    drop(inputs);
    assert_eq!(batch.get(0).offset, 0, "a batch outlives its inputs");
}

#[test]
fn an_offset_that_is_not_there_is_a_fault_that_says_what_is() {
    let kafka = cluster::share();
    let (settings, _) = world(&kafka, "range");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(settings.clone()).expect("clients are made");
    publish(&upstream(&settings, None), &topics.orders, 0, "o0");
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(5), Position::at(0))]).expect("consumers are made");
    let fault = until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 100).err());
    assert!(matches!(fault, Fault::OutOfRange { asked: 5, begin: 0, end: 1, .. }), "{fault:?}");
}

#[test]
fn a_topic_that_does_not_exist_is_a_fault_that_does_not_pass() {
    let kafka = cluster::share();
    let (mut settings, _) = world(&kafka, "missing");
    settings.topics.stock = "no-such-topic".to_owned();
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let fault = broker.topics(PATIENCE).expect_err("one is missing");
    assert!(matches!(fault, Fault::Fatal(_)), "{fault:?}");
}

#[test]
fn topics_are_described_with_ids_configs_and_replicas() {
    let kafka = cluster::share();
    let (settings, admin) = world(&kafka, "describe");
    let topics = settings.topics.clone();
    let found = admin.describe_topics(&[&topics.orders, "no-such-topic"]).expect("the broker answers");
    assert!(found[1].is_none());
    let orders = found[0].as_ref().expect("it exists");
    assert_eq!(orders.partitions.len(), 2);
    assert_eq!((orders.partitions[0].replicas.len(), orders.partitions[0].isr.len()), (1, 1));
    assert_eq!(orders.config.get("message.timestamp.type").map(String::as_str), Some("LogAppendTime"));
    let facts = KafkaBroker::new(settings).expect("clients are made").topics(PATIENCE).expect("it answers");
    assert_eq!((facts.partitions, facts.ids[0]), ([2, 2, 2], orders.id));
    assert_ne!(facts.ids[0], [0; 16]);
    assert_ne!(facts.ids[0], facts.ids[1]);
    let spec = TopicSpec { name: topics.orders.clone(), partitions: 2, replication: None, config: BTreeMap::new() };
    assert_eq!(
        admin.create_topics(std::slice::from_ref(&spec)),
        [Err(CreateTopicError::Exists(topics.orders.clone()))]
    );
    let spec = TopicSpec { name: "x".to_owned(), replication: Some(9), ..spec };
    assert!(matches!(admin.create_topics(&[spec])[..], [Err(CreateTopicError::Refused { .. })]));
    assert_eq!(admin.cluster().expect("it answers").brokers.len(), 1);
    for configs in admin.broker_configs().expect("it answers").values() {
        assert_eq!(broker_age(configs), BrokerAge::Supported);
    }
    admin.publish_genesis(1, b"genesis").expect("written");
    await_end(&admin, &topics.decisions, 1, 2);
}

#[test]
fn two_members_share_the_shards_and_the_one_that_stays_gets_them_all() {
    let kafka = cluster::share();
    let (settings, _) = world(&kafka, "group");
    // A member that gets nothing hears that, too.
    let is_nothing = |event: &Event| matches!(event, Event::Assigned(none) if none.is_empty());
    let take = |m: &Membership| {
        let mut events = std::iter::from_fn(|| m.events().recv_timeout(PATIENCE).ok());
        events.find(|event| !is_nothing(event)).expect("the group decides")
    };
    let first = Membership::join(&settings, Layout::one_each(2), PATIENCE).expect("joins");
    let Event::Assigned(all) = take(&first) else { panic!("assigned") };
    assert_eq!(all.len(), 2);
    first.report_positions(&[(Input::Orders, 0, 5), (Input::Stock, 0, 6)]);
    let second = Membership::join(&settings, Layout::one_each(2), PATIENCE).expect("joins");
    let Event::Revoked(moved, ack) = take(&first) else { panic!("revoked") };
    assert_eq!(moved.len(), 1);
    while let Ok(event) = second.events().recv_timeout(Duration::from_millis(500)) {
        assert!(is_nothing(&event), "held until let go: {event:?}");
    }
    drop(ack);
    let Event::Assigned(got) = take(&second) else { panic!("assigned") };
    assert_eq!(got, moved);
    assert!(second.leave(PATIENCE));
    let Event::Assigned(back) = take(&first) else { panic!("assigned") };
    assert_eq!(back, moved);
    assert!(first.leave(PATIENCE));
}

#[test]
fn a_commit_held_up_is_sound_and_one_that_is_given_up_is_settled_by_the_next_writer() {
    let kafka = cluster::alone();
    let (settings, _) = world(&kafka, "frozen");
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let mut writer = broker.writer(0).expect("a producer is made");
    writer.init(PATIENCE).expect("it is the first");
    let open = |writer: &mut KafkaWriter, value: &[u8]| {
        writer.begin().expect("begins");
        writer.send(decision(value)).expect("sent");
    };
    open(&mut writer, b"a");
    assert!(!writer.commit(PATIENCE).expect("committed").suspicious);

    open(&mut writer, b"b");
    kafka.pause(0).expect("it can be frozen");
    let committed = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(1_500));
            kafka.resume(0).expect("it wakes");
        });
        writer.commit(PATIENCE).expect("committed in the end")
    });
    assert!(!committed.suspicious, "late, and asked for once");

    open(&mut writer, b"c");
    kafka.pause(0).expect("it can be frozen");
    let fault = writer.commit(Duration::from_secs(1)).expect_err("nobody answers");
    kafka.resume(0).expect("it wakes");
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    let mut next = broker.writer(0).expect("a producer is made");
    next.init(PATIENCE).expect("it takes over");
    open(&mut next, b"d");
    next.commit(PATIENCE).expect("committed");
    let log = read_all(&broker, 0, b"d").concat();
    assert!(log == b"abd" || log == b"abcd", "{log:?}");
}

#[test]
fn inputs_go_on_where_they_were_when_a_broker_comes_back() {
    let mut kafka = cluster::alone();
    let (settings, _) = world(&kafka, "restart");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(settings.clone()).expect("clients are made");
    let plain = upstream(&settings, None);
    publish(&plain, &topics.orders, 0, "before");
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("consumers are made");
    until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 100).expect("it can be read"));
    kafka.kill(0).expect("it can be killed");
    inputs.ask_ends(0, 1);
    kafka.restart(0).expect("it comes back");
    publish(&plain, &topics.orders, 0, "after");
    let batch = until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 100).expect("it can be read"));
    assert_eq!((batch.len(), batch.get(0).value), (1, Some(&b"after"[..])));
    assert_eq!(
        until(&mut inputs, |inputs| inputs.ends().map(|(_, ends)| ends)).ticket,
        1,
        "a question is asked until it is answered"
    );
}

#[test]
fn at_least_once_writes_without_transactions() {
    let kafka = cluster::share();
    let (settings, admin) = world(&kafka, "plain");
    let topics = settings.topics.clone();
    let broker = KafkaBroker::new(Settings { delivery: Delivery::AtLeastOnce, ..settings }).expect("clients are made");
    let mut writer = broker.writer(0).expect("a producer is made");
    writer.init(PATIENCE).expect("nothing to do");
    for value in [b"a", b"b"] {
        writer.begin().expect("nothing to do");
        writer.send(decision(value)).expect("sent");
        writer.commit(PATIENCE).expect("acknowledged");
    }
    await_end(&admin, &topics.decisions, 0, 2);
}

#[test]
fn a_wait_rests_beside_records_that_are_left_unpolled() {
    const WATCHED: Duration = Duration::from_millis(500);
    let kafka = cluster::share();
    let (settings, _) = world(&kafka, "unpolled");
    let (producer, topics) = (upstream(&settings, None), settings.topics.clone());
    for n in 0..10 {
        publish(&producer, &topics.orders, 0, &n.to_string());
    }
    let broker = KafkaBroker::new(settings).expect("clients are made");
    let mut inputs = broker.inputs(&[ReadFrom::new(0, Position::at(0), Position::at(0))]).expect("the inputs open");
    until(&mut inputs, |inputs| inputs.poll(0, Input::Orders, 1).expect("it is read"));
    let (began, mut waits) = (Instant::now(), 0);
    while began.elapsed() < WATCHED {
        inputs.wait(WATCHED);
        waits += 1;
    }
    assert!(waits < 50, "{waits} waits in {WATCHED:?}");
    inputs.ask_ends(0, 1);
    assert_eq!(until(&mut inputs, Inputs::ends).1.orders.high, 10);
}

#[test]
fn topics_are_told_although_the_broker_that_is_taken_for_the_controller_is_away() {
    let _beside = cluster::share();
    let options = Options { brokers: 3, heap_mib: 384, ..Options::default() };
    let mut three = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let (settings, _) = world(&three, "controller");
    // Each broker's answer names any of the three: among a dozen clients some take the one that dies for it.
    let clients: Vec<_> = (0..12).map(|_| KafkaBroker::new(settings.clone()).expect("clients are made")).collect();
    for client in &clients {
        client.topics(PATIENCE).expect("they are told");
    }
    let admin = Admin::new(&settings, PATIENCE).expect("a client");
    assert_eq!(admin.cluster().expect("it is told").brokers.len(), 3);
    three.kill(0).expect("it can be killed");
    let configs = thread::spawn(move || admin.broker_configs().map(|configs| configs.len()));
    // A lane asks again and again. For a while the others still name the one that is gone, and its topics lost a leader.
    let deadline = Instant::now() + Duration::from_secs(90);
    for client in &clients {
        while let Err(fault) = client.topics(Duration::from_secs(4)) {
            assert!(Instant::now() < deadline, "{fault}");
        }
    }
    // One that is gone is listed for some seconds more, and cannot be asked.
    assert_eq!(configs.join().expect("it ends"), Ok(2));
}
