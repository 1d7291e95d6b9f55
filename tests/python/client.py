"""A checkout service in another language: places, retries, confirms, cancels, sells by rules, and reads its replies.

Uses nothing but confluent-kafka and code generated from proto/. Arguments: bootstrap servers, and the names of the
topics orders, stock and replies. Exits with 0 if every answer is as the contract says.
"""

import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from sluice.v1 import commands_pb2 as commands
from sluice.v1 import decisions_pb2 as decisions

# Names of this run alone: topics may have been used before, and others may use them meanwhile.
RUN = uuid.uuid4().hex[:12]
POOL = "nord"
SKU = f"lampe-{RUN}"
# Sold by rules.
PHONE = f"handy-{RUN}"
ORDER = f"bestellung-1-{RUN}"
OTHER_ORDER = f"bestellung-2-{RUN}"
REPLY_PARTITION = 1
ANSWER_WITHIN_S = 60


def now_ms():
    return int(time.time() * 1000)


class Checkout:
    """One checkout instance with its own partition of `replies`."""

    def __init__(self, bootstrap, orders, stock, replies):
        self.orders, self.stock = orders, stock
        # The partitioner must be Java's, or orders go to a shard that refuses them as MISROUTED.
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "python-checkout",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        # What was answered before this run began is not for it.
        partition = TopicPartition(replies, REPLY_PARTITION)
        _, partition.offset = self.consumer.get_watermark_offsets(partition, timeout=ANSWER_WITHIN_S)
        self.consumer.assign([partition])
        self.received = []
        self.last_sequence = 0
        self.commands = 0

    def publish(self, topic, message):
        self.commands += len(message.commands)
        self.producer.produce(topic, key=POOL.encode(), value=message.SerializeToString())
        assert self.producer.flush(ANSWER_WITHIN_S) == 0, "the broker did not take the record"

    def send_stock(self, asked, issued_at_ms=None, **kind):
        command = commands.StockCommand(
            pool=POOL, id=f"lager-{self.commands}-{RUN}", issued_at_ms=issued_at_ms or now_ms(), **kind
        )
        command.reply_partition = REPLY_PARTITION
        self.publish(self.stock, commands.StockCommands(commands=[command]))
        return self.answer(lambda d: d.asked == asked and d.id == command.id)

    def receive(self, sku, quantity):
        return self.send_stock(decisions.ASKED_RECEIVE, receive=commands.Receive(sku=sku, quantity=quantity))

    def send(self, asked, **kind):
        command = commands.Command(reply_partition=REPLY_PARTITION, **kind)
        self.publish(self.orders, commands.Commands(commands=[command]))
        order_id, attempt = next((c.order_id, c.attempt) for c in kind.values())
        return self.answer(lambda d: (d.asked, d.order_id, d.attempt) == (asked, order_id, attempt))

    def answer(self, is_mine):
        """The next decision that answers the command just sent. All of a pool are decided by one shard, in sequence: a
        reply may be written twice around a fault, and then has a sequence that was seen."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while True:
            for decision in self.received:
                if decision.pool == POOL and decision.sequence > self.last_sequence and is_mine(decision):
                    self.last_sequence = decision.sequence
                    return decision
            self.received = []
            assert time.monotonic() < deadline, "no answer"
            message = self.consumer.poll(0.5)
            if message is None:
                continue
            assert message.error() is None, message.error()
            self.received = list(decisions.Replies.FromString(message.value()).decisions)


def order(order_id, quantity, sku=SKU, **vouched):
    return commands.Place(
        pool=POOL,
        order_id=order_id,
        customer="müller",
        channel="web",
        placed_at_ms=now_ms(),
        lines=[commands.OrderLine(sku=sku, quantity=quantity)],
        **vouched,
    )


def check(decision, asked, outcome, state=None, reason=decisions.REASON_UNSPECIFIED):
    got = (decision.asked, decision.outcome, decision.reason)
    assert got == (asked, outcome, reason), decision
    assert decision.pool == POOL, decision
    if state is not None:
        assert decision.state == state, decision
    return decision


def sell_by_rules(checkout):
    """A phone that opens in a minute, for members now, for adults only, two for each household."""
    d = decisions
    opens_at_ms = now_ms() + 60_000
    sale = commands.SetSale(
        sku=PHONE,
        opens_at_ms=opens_at_ms,
        early=[commands.EarlySale(segment="mitglied", opens_at_ms=opens_at_ms - 120_000)],
        only=["erwachsen"],
    )
    issued_at_ms = now_ms()
    opened = checkout.send_stock(d.ASKED_SET_SALE, issued_at_ms, set_sale=sale)
    check(opened, d.ASKED_SET_SALE, d.OUTCOME_APPLIED)
    assert opened.sale == sale and opened.issued_at_ms == issued_at_ms, opened
    limit = commands.SetLimit(name=f"haushalt-{RUN}", units=2, skus=[PHONE], key="haushalt")
    limited = checkout.send_stock(d.ASKED_SET_LIMIT, set_limit=limit)
    check(limited, d.ASKED_SET_LIMIT, d.OUTCOME_APPLIED)
    assert limited.limit == limit, limited
    # Rules first: without one everything is sold.
    check(checkout.receive(PHONE, 10), d.ASKED_RECEIVE, d.OUTCOME_APPLIED)

    household = [commands.PlaceKey(name="haushalt", value="h-17")]

    def place(number, quantity, outcome, reason=d.REASON_UNSPECIFIED, **vouched):
        placed = order(f"{ORDER}-handy-{number}", quantity, PHONE, **vouched)
        return check(checkout.send(d.ASKED_PLACE, place=placed), d.ASKED_PLACE, outcome, reason=reason)

    # Too early is not remembered: the same order may ask again, with what it has learnt.
    early = place(1, 1, d.OUTCOME_NOT_OPEN, segments=["erwachsen"], keys=household)
    assert early.opens_at_ms == opens_at_ms and early.lines[0].opens_at_ms == opens_at_ms, early
    assert early.lines[0].rule == opened.sequence, early
    bought = place(1, 1, d.OUTCOME_RESERVED, segments=["nord", "erwachsen", "mitglied"], keys=household)
    assert list(bought.segments) == ["erwachsen", "mitglied"] and list(bought.keys) == household, bought
    counted = [(it.count, it.period, it.units) for it in bought.counted]
    assert counted == [(limited.sequence, 0, 1)] and bought.customer == "", bought

    young = place(2, 1, d.OUTCOME_REJECTED, d.REASON_NOT_ELIGIBLE, segments=["mitglied"], keys=household)
    assert young.lines[0].rule == opened.sequence, young
    homeless = place(3, 1, d.OUTCOME_REJECTED, d.REASON_NOT_ELIGIBLE, segments=["mitglied", "erwachsen"])
    assert homeless.lines[0].rule == limited.sequence, homeless
    much = place(4, 2, d.OUTCOME_REJECTED, d.REASON_LIMIT, segments=["mitglied", "erwachsen"], keys=household)
    assert much.lines[0].rule == limited.sequence and much.lines[0].left == 1, much

    stale = checkout.send_stock(d.ASKED_SET_SALE, issued_at_ms - 1, set_sale=commands.SetSale(sku=PHONE))
    check(stale, d.ASKED_SET_SALE, d.OUTCOME_NOT_ALLOWED, reason=d.REASON_STALE)
    assert stale.rule == opened.sequence and stale.issued_at_ms == opened.issued_at_ms, stale
    over = commands.SetSale(sku=PHONE, closes_at_ms=now_ms() - 1_000)
    closed = checkout.send_stock(d.ASKED_SET_SALE, set_sale=over)
    check(closed, d.ASKED_SET_SALE, d.OUTCOME_APPLIED)
    late = place(5, 1, d.OUTCOME_REJECTED, d.REASON_CLOSED, segments=["erwachsen"], keys=household)
    assert late.lines[0].rule == closed.sequence, late


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: client.py BOOTSTRAP_SERVERS ORDERS STOCK REPLIES (topics, for instance: orders stock replies)")
    checkout = Checkout(*sys.argv[1:])
    d = decisions

    check(checkout.receive(SKU, 10), d.ASKED_RECEIVE, d.OUTCOME_APPLIED)

    place = order(ORDER, 7)
    placed = check(checkout.send(d.ASKED_PLACE, place=place), d.ASKED_PLACE, d.OUTCOME_RESERVED, d.ORDER_STATE_HELD)
    assert placed.order_id == ORDER and placed.lines[0].allocated == 7, placed
    assert placed.expires_at_ms > placed.decided_at_ms, placed

    retried = check(checkout.send(d.ASKED_PLACE, place=place), d.ASKED_PLACE, d.OUTCOME_DUPLICATE, d.ORDER_STATE_HELD)
    assert retried.original.sequence == placed.sequence, retried
    assert retried.original.outcome == d.OUTCOME_RESERVED, retried
    assert retried.expires_at_ms == placed.expires_at_ms and retried.lines == placed.lines, retried

    changed = commands.Place.FromString(place.SerializeToString())
    changed.lines[0].quantity = 8
    check(checkout.send(d.ASKED_PLACE, place=changed), d.ASKED_PLACE, d.OUTCOME_CONFLICT, d.ORDER_STATE_HELD)

    short = check(
        checkout.send(d.ASKED_PLACE, place=order(OTHER_ORDER, 4)),
        d.ASKED_PLACE,
        d.OUTCOME_REJECTED,
        d.ORDER_STATE_REJECTED,
        d.REASON_OUT_OF_STOCK,
    )
    assert short.lines[0].available == 3 and short.lines[0].allocated == 0, short

    # One that never came, or that left long ago: without the instant of its Place nobody can tell which.
    key = {"pool": POOL, "order_id": ORDER + "-early", "attempt": 0}
    cancel = commands.Cancel(**key)
    check(
        checkout.send(d.ASKED_CANCEL, cancel=cancel),
        d.ASKED_CANCEL,
        d.OUTCOME_NOT_ALLOWED,
        d.ORDER_STATE_UNSPECIFIED,
        d.REASON_UNKNOWN_ORDER,
    )
    # A Cancel that overtakes its Place says when the order was placed.
    cancel.placed_at_ms = place.placed_at_ms
    noted = checkout.send(d.ASKED_CANCEL, cancel=cancel)
    check(noted, d.ASKED_CANCEL, d.OUTCOME_NOTED, d.ORDER_STATE_CANCELLED, d.REASON_BEFORE_PLACE)
    early = order(ORDER + "-early", 1)
    early.placed_at_ms = place.placed_at_ms
    overtaken = checkout.send(d.ASKED_PLACE, place=early)
    check(overtaken, d.ASKED_PLACE, d.OUTCOME_REJECTED, d.ORDER_STATE_REJECTED, d.REASON_CANCELLED)

    key = {"pool": POOL, "order_id": ORDER, "attempt": 0}
    confirm = commands.Confirm(**key)
    check(checkout.send(d.ASKED_CONFIRM, confirm=confirm), d.ASKED_CONFIRM, d.OUTCOME_CONFIRMED, d.ORDER_STATE_COMMITTED)
    check(checkout.send(d.ASKED_CONFIRM, confirm=confirm), d.ASKED_CONFIRM, d.OUTCOME_UNCHANGED, d.ORDER_STATE_COMMITTED)
    cancel = commands.Cancel(**key)
    check(checkout.send(d.ASKED_CANCEL, cancel=cancel), d.ASKED_CANCEL, d.OUTCOME_CANCELLED, d.ORDER_STATE_CANCELLED)

    # What was cancelled is for sale again: the customer's second attempt finds it.
    again = order(ORDER, 10)
    again.attempt = 1
    check(checkout.send(d.ASKED_PLACE, place=again), d.ASKED_PLACE, d.OUTCOME_RESERVED, d.ORDER_STATE_HELD)

    sell_by_rules(checkout)
    print(f"every answer to {checkout.commands} commands is as the contract says")


if __name__ == "__main__":
    main()
