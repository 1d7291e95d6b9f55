"""A checkout service in another language: places, retries, confirms, cancels, sells by rules, through channels, from lots
and for delivery days, and reads its replies.

Uses nothing but confluent-kafka and code generated from proto/. Arguments: bootstrap servers, and the names of the
topics orders, stock and replies. Exits with 0 if every answer is as the contract says.
"""

import datetime
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
# Sold through several channels.
VASE = f"vase-{RUN}"
# In lots, each with a last day of use.
CHEESE = f"kaese-{RUN}"
# Delivers by the day. A rule about a whole pool must not meet others who use the topics: its name is this run's own.
DELIVERING_POOL = f"frisch-{RUN}"
BREAD = "brot"
ORDER = f"bestellung-1-{RUN}"
OTHER_ORDER = f"bestellung-2-{RUN}"
REPLY_PARTITION = 1
ANSWER_WITHIN_S = 60


def now_ms():
    return int(time.time() * 1000)


class Checkout:
    """One checkout instance with its own partition of `replies`, for one pool."""

    def __init__(self, bootstrap, orders, stock, replies, pool=POOL):
        self.orders, self.stock, self.pool = orders, stock, pool
        # The partitioner must be Java's, or orders go to a shard that refuses them as MISROUTED.
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "python-checkout",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # A Kafka answers a fetch as soon as there is something; the demo's embedded broker only after this.
                "fetch.wait.max.ms": 20,
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
        self.producer.produce(topic, key=self.pool.encode(), value=message.SerializeToString())
        assert self.producer.flush(ANSWER_WITHIN_S) == 0, "the broker did not take the record"

    def send_stock(self, asked, issued_at_ms=None, **kind):
        command = commands.StockCommand(
            pool=self.pool, id=f"lager-{self.commands}-{RUN}", issued_at_ms=issued_at_ms or now_ms(), **kind
        )
        command.reply_partition = REPLY_PARTITION
        self.publish(self.stock, commands.StockCommands(commands=[command]))
        return self.answer(lambda d: d.asked == asked and d.id == command.id)

    def receive(self, sku, quantity, lot="", expiry=0):
        receipt = commands.Receive(sku=sku, quantity=quantity, lot=lot, expiry=expiry)
        return self.send_stock(decisions.ASKED_RECEIVE, receive=receipt)

    def ship(self, shipment):
        command = commands.StockCommand(pool=self.pool, ship=shipment, reply_partition=REPLY_PARTITION)
        self.publish(self.stock, commands.StockCommands(commands=[command]))
        key = (decisions.ASKED_SHIP, shipment.order_id, shipment.attempt)
        return self.answer(lambda d: (d.asked, d.order_id, d.attempt) == key)

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
                if decision.pool == self.pool and decision.sequence > self.last_sequence and is_mine(decision):
                    self.last_sequence = decision.sequence
                    return decision
            self.received = []
            assert time.monotonic() < deadline, "no answer"
            message = self.consumer.poll(0.5)
            if message is None:
                continue
            assert message.error() is None, message.error()
            self.received = list(decisions.Replies.FromString(message.value()).decisions)


def order(order_id, quantity, sku=SKU, channel="web", pool=POOL, **more):
    return commands.Place(
        pool=pool,
        order_id=order_id,
        customer="müller",
        channel=channel,
        placed_at_ms=now_ms(),
        lines=[commands.OrderLine(sku=sku, quantity=quantity)],
        **more,
    )


def check(decision, asked, outcome, state=None, reason=decisions.REASON_UNSPECIFIED, pool=POOL):
    got = (decision.asked, decision.outcome, decision.reason)
    assert got == (asked, outcome, reason), decision
    assert decision.pool == pool, decision
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


def sell_through_channels(checkout):
    """Ten vases: four are kept for the web, the market may have three at most, and all others together five."""
    d = decisions
    shares = commands.SetChannels(
        sku=VASE,
        channels=[
            commands.ChannelShare(channel="web", protected=4),
            commands.ChannelShare(channel="markt", at_most=3),
            commands.ChannelShare(at_most=5),
        ],
    )
    shared = checkout.send_stock(d.ASKED_SET_CHANNELS, set_channels=shares)
    check(shared, d.ASKED_SET_CHANNELS, d.OUTCOME_APPLIED)
    assert shared.channels == shares, shared
    check(checkout.receive(VASE, 10), d.ASKED_RECEIVE, d.OUTCOME_APPLIED)

    def place(number, channel, quantity, outcome, reason=d.REASON_UNSPECIFIED):
        placed = order(f"{ORDER}-vase-{number}", quantity, VASE, channel)
        return check(checkout.send(d.ASKED_PLACE, place=placed), d.ASKED_PLACE, outcome, reason=reason)

    def barred(number, channel, quantity, left):
        told = place(number, channel, quantity, d.OUTCOME_REJECTED, d.REASON_QUOTA)
        assert told.lines[0].rule == shared.sequence and told.lines[0].left == left and told.channel == channel, told

    def counted(decision):
        return [(it.count, it.units, it.share) for it in decision.counted], decision.channel

    market = place(1, "markt", 2, d.OUTCOME_RESERVED)
    assert counted(market) == ([(shared.sequence, 2, d.SHARE_OF_CHANNEL)], "markt"), market
    # Its share is nearly used up; there is more than enough.
    barred(2, "markt", 2, left=1)
    shop = place(3, "laden", 3, d.OUTCOME_RESERVED)
    assert counted(shop) == ([(shared.sequence, 3, d.SHARE_OF_OTHERS)], "laden"), shop
    # Five are there, and four of them are for the web.
    barred(4, "laden", 2, left=1)
    place(5, "web", 4, d.OUTCOME_RESERVED)
    check(
        checkout.send(d.ASKED_CANCEL, cancel=commands.Cancel(pool=POOL, order_id=f"{ORDER}-vase-1")),
        d.ASKED_CANCEL,
        d.OUTCOME_CANCELLED,
    )
    # What the market gave back it may have again. The web has sold what was kept for it.
    place(6, "markt", 3, d.OUTCOME_RESERVED)
    ended = checkout.send_stock(d.ASKED_SET_CHANNELS, set_channels=commands.SetChannels(sku=VASE))
    check(ended, d.ASKED_SET_CHANNELS, d.OUTCOME_APPLIED)


def written(day):
    """As the contract writes a day."""
    return int(day.strftime("%Y%m%d"))


def sell_from_lots(checkout):
    """Cheese that must last two days more: what expires first goes first, and the warehouse takes what it finds."""
    d = decisions
    today = datetime.datetime.now(datetime.timezone.utc).date()
    # Two days of distance to what would change if a day ended meanwhile.
    expiries = {ahead: written(today + datetime.timedelta(days=ahead)) for ahead in (1, 5, 9)}
    fresh = commands.SetFreshness(sku=CHEESE, least_days=2)
    ruled = checkout.send_stock(d.ASKED_SET_FRESHNESS, set_freshness=fresh)
    check(ruled, d.ASKED_SET_FRESHNESS, d.OUTCOME_APPLIED)
    assert ruled.freshness == fresh, ruled

    def receive(lot, ahead, quantity):
        applied = checkout.receive(CHEESE, quantity, lot, expiries[ahead])
        told = check(applied, d.ASKED_RECEIVE, d.OUTCOME_APPLIED).stock.lot
        assert (told.lot, told.expiry, told.on_hand) == (lot, expiries[ahead], quantity), applied
        return told.number

    def place(number, quantity, outcome, reason=d.REASON_UNSPECIFIED):
        placed = order(f"{ORDER}-kaese-{number}", quantity, CHEESE)
        return check(checkout.send(d.ASKED_PLACE, place=placed), d.ASKED_PLACE, outcome, reason=reason)

    def parts(decision):
        return [(part.lot, part.units) for part in decision.lines[0].lots]

    late, early = receive("spaet", 9, 4), receive("frueh", 5, 3)
    receive("alt", 1, 50)
    # Stock in lots is received by the lot, and a lot keeps its expiry.
    check(checkout.receive(CHEESE, 1), d.ASKED_RECEIVE, d.OUTCOME_INVALID, reason=d.REASON_LOT)
    other = checkout.receive(CHEESE, 1, "frueh", expiries[9])
    check(other, d.ASKED_RECEIVE, d.OUTCOME_INVALID, reason=d.REASON_EXPIRY)

    # What does not last is not there.
    short = place(1, 8, d.OUTCOME_REJECTED, d.REASON_OUT_OF_STOCK)
    assert short.lines[0].available == 7 and not short.lines[0].lots, short
    sold = place(2, 5, d.OUTCOME_RESERVED)
    assert parts(sold) == [(early, 3), (late, 2)], sold

    key = {"order_id": sold.order_id, "attempt": 0}
    paid = checkout.send(d.ASKED_CONFIRM, confirm=commands.Confirm(pool=POOL, **key))
    check(paid, d.ASKED_CONFIRM, d.OUTCOME_CONFIRMED, d.ORDER_STATE_COMMITTED)

    def halt_or_resume(asked, **kind):
        told = check(checkout.send_stock(asked, **kind), asked, d.OUTCOME_APPLIED)
        assert told.stock.lot.halted == (asked == d.ASKED_HALT) and not told.stock.halted, told

    def ship(**lots):
        named = [commands.ShippedLot(sku=CHEESE, lot=lot, units=units) for lot, units in lots.items()]
        return checkout.ship(commands.Ship(lots=named, **key))

    halt_or_resume(d.ASKED_HALT, halt=commands.Halt(sku=CHEESE, lot="frueh"))
    check(ship(), d.ASKED_SHIP, d.OUTCOME_NOT_ALLOWED, d.ORDER_STATE_COMMITTED, d.REASON_HALTED)
    check(ship(spaet=4), d.ASKED_SHIP, d.OUTCOME_INVALID, reason=d.REASON_QUANTITY)
    # One more than there should be.
    left = check(ship(spaet=5), d.ASKED_SHIP, d.OUTCOME_SHIPPED, d.ORDER_STATE_SHIPPED)
    assert parts(left) == [(late, 5)] and left.lines[0].lots[0].shortfall == 1, left
    halt_or_resume(d.ASKED_RESUME, resume=commands.Resume(sku=CHEESE, lot="frueh"))
    # The early ones were not needed.
    again = place(3, 3, d.OUTCOME_RESERVED)
    assert parts(again) == [(early, 3)], again


def deliver_by_the_day(checkout):
    """Bread that is delivered on the day after the order, one order a day."""
    d = decisions
    # A zone in which no day ends while this runs.
    hour = datetime.datetime.now(datetime.timezone.utc).hour
    zone, offset = ("UTC", 0) if hour < 22 else ("Asia/Seoul", 9)
    local = datetime.timezone(datetime.timedelta(hours=offset))
    today = datetime.datetime.now(local).date()
    days = [today + datetime.timedelta(days=ahead) for ahead in range(4)]
    # Orders for a day close as it begins.
    begins = [datetime.datetime.combine(day, datetime.time(), tzinfo=local) for day in days]
    closes_at_ms = [int(moment.timestamp() * 1000) for moment in begins]
    service = commands.DeliveryService(
        name="morgens",
        time_zone=zone,
        days=[commands.DispatchDay(weekday=weekday, cutoff_s=86_400) for weekday in range(1, 8)],
        lead=1,
        orders_a_day=1,
        horizon=3,
        late=commands.LATE_REJECT,
        grace_ms=60_000,
    )

    def deliver(*services):
        rule = commands.SetDelivery(services=services)
        answer = checkout.send_stock(d.ASKED_SET_DELIVERY, set_delivery=rule)
        return rule, answer

    def place(number, outcome, reason=d.REASON_UNSPECIFIED, **asked):
        placed = order(f"{ORDER}-brot-{number}", 1, BREAD, pool=DELIVERING_POOL, **asked)
        answer = checkout.send(d.ASKED_PLACE, place=placed)
        return check(answer, d.ASKED_PLACE, outcome, reason=reason, pool=DELIVERING_POOL)

    rule, ruled = deliver(service)
    check(ruled, d.ASKED_SET_DELIVERY, d.OUTCOME_APPLIED, pool=DELIVERING_POOL)
    assert ruled.delivery == rule, ruled
    nowhere = commands.DeliveryService.FromString(service.SerializeToString())
    nowhere.time_zone = "Mars/Olympus"
    refused = deliver(nowhere)[1]
    check(refused, d.ASKED_SET_DELIVERY, d.OUTCOME_INVALID, reason=d.REASON_TIME_ZONE, pool=DELIVERING_POOL)
    check(checkout.receive(BREAD, 10), d.ASKED_RECEIVE, d.OUTCOME_APPLIED, pool=DELIVERING_POOL)

    def is_told(decision, ahead):
        told = (decision.service, decision.day, decision.cutoff_ms)
        return told == ("morgens", *((written(days[ahead]), closes_at_ms[ahead]) if ahead else (0, 0)))

    first = place(1, d.OUTCOME_RESERVED)
    assert is_told(first, 1) and first.hold_until_ms == first.cutoff_ms + 60_000, first
    assert first.expires_at_ms <= first.hold_until_ms, first
    # The day has its order: the next one that has room is told, and can be had.
    full = place(2, d.OUTCOME_REJECTED, d.REASON_DELIVERY_FULL)
    assert is_told(full, 2) and full.rule == ruled.sequence, full
    assert is_told(place(3, d.OUTCOME_RESERVED, day=full.day), 2)
    # Today was closed as it began; whoever takes any day gets the next one with room.
    late = place(4, d.OUTCOME_REJECTED, d.REASON_LATE, day=written(today))
    assert is_told(late, 3) and late.rule == ruled.sequence, late
    rolled = place(5, d.OUTCOME_RESERVED, day=written(today), late=commands.LATE_ROLL)
    assert is_told(rolled, 3), rolled
    assert is_told(place(6, d.OUTCOME_REJECTED, d.REASON_DELIVERY_FULL, late=commands.LATE_ROLL), 0)
    place(7, d.OUTCOME_INVALID, d.REASON_NO_SUCH_SERVICE, service="abends")
    cancel = commands.Cancel(pool=DELIVERING_POOL, order_id=first.order_id)
    cancelled = checkout.send(d.ASKED_CANCEL, cancel=cancel)
    check(cancelled, d.ASKED_CANCEL, d.OUTCOME_CANCELLED, pool=DELIVERING_POOL)
    # The day that was given back is another's.
    assert is_told(place(8, d.OUTCOME_RESERVED), 1)
    check(deliver()[1], d.ASKED_SET_DELIVERY, d.OUTCOME_APPLIED, pool=DELIVERING_POOL)


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
    sell_through_channels(checkout)
    sell_from_lots(checkout)
    delivering = Checkout(*sys.argv[1:], pool=DELIVERING_POOL)
    deliver_by_the_day(delivering)
    print(f"every answer to {checkout.commands + delivering.commands} commands is as the contract says")


if __name__ == "__main__":
    main()
