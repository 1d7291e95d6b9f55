//! What is asked when, and what an answer is told for.

use super::*;

fn settled(end: i64) -> End {
    End { stable: end, high: end }
}

/// Answers a question with the same end for each of its places.
fn answer(questions: &mut Questions, (number, places): &(usize, Vec<usize>), end: i64, now: Instant) {
    for is_stable in [true, false] {
        questions.receive(*number, is_stable, Some(vec![Some(end); places.len()]), now);
    }
}

fn led(shards: usize, leader: impl Fn(usize) -> Option<i32>, now: Instant) -> Questions {
    let mut questions = Questions::new(shards);
    for place in 0..INPUTS * shards {
        questions.learn(place, leader(place), &[1, 2], now);
    }
    questions
}

#[test]
fn what_is_wanted_of_one_leader_goes_out_together_and_nothing_else_does() {
    let now = Instant::now();
    let mut questions = led(5, |place| Some(place as i32 % 2), now);
    for at in [3, 1] {
        questions.want(at, 10 + at as u64);
    }
    let orders = questions.next(now).expect("something is wanted");
    let stock = questions.next(now).expect("the other leader is asked, too");
    assert_eq!((&orders.1[..], &stock.1[..]), (&[6, 2][..], &[7, 3][..]));
    questions.want(4, 14);
    assert_eq!(questions.next(now), None, "both leaders have a question under way");
    answer(&mut questions, &orders, 5, now);
    assert_eq!(questions.take(), None, "half of each is not known");
    assert_eq!(questions.next(now).map(|(_, places)| places), Some(vec![8]));
    answer(&mut questions, &stock, 7, now);
    let ends = |ticket| Ends { ticket, orders: settled(5), stock: settled(7) };
    assert_eq!([questions.take(), questions.take()], [Some((3, ends(13))), Some((1, ends(11)))]);
    assert_eq!(questions.take(), None);
}

#[test]
fn an_answer_is_told_for_the_older_of_the_tickets_that_its_halves_were_asked_for() {
    let now = Instant::now();
    let mut questions = led(2, |place| Some(place as i32 % 2), now);
    questions.want(0, 1);
    let first = [questions.next(now), questions.next(now)].map(|question| question.expect("it is asked"));
    questions.want(0, 2);
    answer(&mut questions, &first[0], 5, now);
    let second = questions.next(now).expect("it is asked");
    assert_eq!(second.1, [0]);
    answer(&mut questions, &second, 6, now);
    answer(&mut questions, &first[1], 7, now);
    assert_eq!(questions.take(), Some((0, Ends { ticket: 1, orders: settled(6), stock: settled(7) })));
    let third = questions.next(now).expect("it is asked");
    answer(&mut questions, &third, 8, now);
    assert_eq!(questions.take(), Some((0, Ends { ticket: 2, orders: settled(6), stock: settled(8) })));
    assert!(questions.is_idle());
}

#[test]
fn who_is_not_answered_beside_others_is_asked_alone_until_it_is() {
    let mut now = Instant::now();
    let mut questions = led(3, |_| Some(1), now);
    (0..3).for_each(|at| questions.want(at, 1));
    let (number, _) = questions.next(now).expect("it is asked");
    let offsets = vec![Some(5), Some(5), None, Some(5), Some(5), Some(5)];
    questions.receive(number, true, Some(offsets.clone()), now);
    questions.receive(number, false, Some(offsets), now);
    assert_eq!([questions.take(), questions.take()].map(|answer| answer.map(|(at, _)| at)), [Some(0), Some(2)]);
    assert!(questions.has_doubts(now) && questions.holders_in_doubt(now) == [1, 2]);
    assert_eq!(questions.next(now), None, "it rests");
    now += RETRY_PAUSE;
    let alone = questions.next(now).expect("it is asked");
    assert_eq!(alone.1, [2]);
    questions.want(0, 2);
    assert_eq!(questions.next(now).map(|(_, places)| places), Some(vec![0, 1]), "nobody waits for it");
    answer(&mut questions, &alone, 6, now);
    assert_eq!(questions.take().map(|(at, _)| at), Some(1));
    assert!(!questions.has_doubts(now) && questions.has_doubts(now + DOUBT_AFTER));
}

#[test]
fn those_that_fail_alike_stay_together_and_rest_longer_each_time() {
    let mut now = Instant::now();
    let mut questions = led(2, |_| Some(1), now);
    (0..2).for_each(|at| questions.want(at, 1));
    for failures in 0..9 {
        let (number, places) = questions.next(now).expect("it is asked");
        assert_eq!(places.len(), 4);
        questions.receive(number, true, None, now);
        let pause = (RETRY_PAUSE * 2_u32.pow(failures)).min(LONGEST_RETRY_PAUSE);
        assert_eq!(questions.next(now + pause - Duration::from_millis(1)), None);
        now += pause;
    }
}

#[test]
fn a_question_that_went_to_a_former_leader_or_to_nobody_is_given_up() {
    let now = Instant::now();
    let mut questions = Questions::new(3);
    (0..3).for_each(|at| questions.want(at, 1));
    let unknown = questions.next(now).expect("it is asked");
    assert_eq!(unknown.1.len(), 6);
    (0..5).for_each(|place| questions.learn(place, Some(1), &[1], now));
    assert_eq!(questions.next(now), None, "it may be answered any moment");
    questions.learn(5, None, &[1], now);
    let leads = questions.next(now).expect("they do not wait for the one without a leader");
    assert_eq!(leads.1, [0, 1, 2, 3, 4]);
    let waits = questions.next(now).expect("it is asked by itself");
    assert_eq!(waits.1, [5]);
    answer(&mut questions, &unknown, 4, now);
    assert_eq!(questions.take(), None, "an answer to a question that was given up");
    answer(&mut questions, &leads, 5, now);
    assert_eq!([questions.take(), questions.take()].map(|answer| answer.map(|(at, _)| at)), [Some(0), Some(1)]);
    questions.learn(5, Some(2), &[1], now);
    let led_again = questions.next(now).expect("it is asked at once");
    assert_eq!(led_again.1, [5]);
    answer(&mut questions, &led_again, 6, now);
    assert_eq!(questions.take().map(|(at, _)| at), Some(2));
}
