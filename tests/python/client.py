"""A checkout service in another language: places, retries, confirms, cancels, and reads its replies.

Uses nothing but confluent-kafka and code generated from proto/. Arguments: bootstrap servers, and the names of the
topics orders, stock and replies. Exits with 0 if every answer is as the contract says.
"""

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from sluice.v1 import commands_pb2 as commands
from sluice.v1 import decisions_pb2 as decisions

POOL = "nord"
SKU = "lampe"
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
        self.consumer.assign([TopicPartition(replies, REPLY_PARTITION, 0)])
        self.waiting = []

    def publish(self, topic, message):
        self.producer.produce(topic, key=POOL.encode(), value=message.SerializeToString())
        assert self.producer.flush(ANSWER_WITHIN_S) == 0, "the broker did not take the record"

    def receive(self, quantity):
        command = commands.StockCommand(
            pool=POOL, id="delivery-1", issued_at_ms=now_ms(), receive=commands.Receive(sku=SKU, quantity=quantity)
        )
        command.reply_partition = REPLY_PARTITION
        self.publish(self.stock, commands.StockCommands(commands=[command]))
        return self.answer()

    def send(self, **kind):
        command = commands.Command(reply_partition=REPLY_PARTITION, **kind)
        self.publish(self.orders, commands.Commands(commands=[command]))
        return self.answer()

    def answer(self):
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while not self.waiting:
            assert time.monotonic() < deadline, "no answer"
            message = self.consumer.poll(0.5)
            if message is None:
                continue
            assert message.error() is None, message.error()
            self.waiting.extend(decisions.Replies.FromString(message.value()).decisions)
        return self.waiting.pop(0)


def order(order_id, quantity):
    return commands.Place(
        pool=POOL,
        order_id=order_id,
        customer="müller",
        channel="web",
        placed_at_ms=now_ms(),
        lines=[commands.OrderLine(sku=SKU, quantity=quantity)],
    )


def check(decision, asked, outcome, state=None, reason=decisions.REASON_UNSPECIFIED):
    got = (decision.asked, decision.outcome, decision.reason)
    assert got == (asked, outcome, reason), decision
    assert decision.pool == POOL, decision
    if state is not None:
        assert decision.state == state, decision
    return decision


def main():
    checkout = Checkout(*sys.argv[1:])
    d = decisions

    check(checkout.receive(10), d.ASKED_RECEIVE, d.OUTCOME_APPLIED)

    place = order("bestellung-1", 7)
    placed = check(checkout.send(place=place), d.ASKED_PLACE, d.OUTCOME_RESERVED, d.ORDER_STATE_HELD)
    assert placed.order_id == "bestellung-1" and placed.lines[0].allocated == 7, placed
    assert placed.expires_at_ms > placed.decided_at_ms, placed

    retried = check(checkout.send(place=place), d.ASKED_PLACE, d.OUTCOME_DUPLICATE, d.ORDER_STATE_HELD)
    assert retried.original.sequence == placed.sequence, retried
    assert retried.original.outcome == d.OUTCOME_RESERVED, retried

    changed = commands.Place.FromString(place.SerializeToString())
    changed.lines[0].quantity = 8
    check(checkout.send(place=changed), d.ASKED_PLACE, d.OUTCOME_CONFLICT, d.ORDER_STATE_HELD)

    short = check(
        checkout.send(place=order("bestellung-2", 4)),
        d.ASKED_PLACE,
        d.OUTCOME_REJECTED,
        d.ORDER_STATE_REJECTED,
        d.REASON_OUT_OF_STOCK,
    )
    assert short.lines[0].available == 3 and short.lines[0].allocated == 0, short

    key = {"pool": POOL, "order_id": "bestellung-1", "attempt": 0}
    confirm = commands.Confirm(**key)
    check(checkout.send(confirm=confirm), d.ASKED_CONFIRM, d.OUTCOME_CONFIRMED, d.ORDER_STATE_COMMITTED)
    check(checkout.send(confirm=confirm), d.ASKED_CONFIRM, d.OUTCOME_UNCHANGED, d.ORDER_STATE_COMMITTED)
    cancel = commands.Cancel(**key)
    check(checkout.send(cancel=cancel), d.ASKED_CANCEL, d.OUTCOME_CANCELLED, d.ORDER_STATE_CANCELLED)

    # What was cancelled is for sale again: the customer's second attempt finds it.
    again = order("bestellung-1", 10)
    again.attempt = 1
    check(checkout.send(place=again), d.ASKED_PLACE, d.OUTCOME_RESERVED, d.ORDER_STATE_HELD)
    print("every answer is as the contract says")


if __name__ == "__main__":
    main()
