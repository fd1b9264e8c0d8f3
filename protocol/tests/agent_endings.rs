//! Who hears that it is over: whoever was called, and whoever may have been, when no call can come
//! after it any more.

mod common;

use common::{
    calls::{called, documents, notifier, of, state, told},
    driver::Driver,
};
use protocol::{
    agent::{Again, Input, NotTaken},
    document::Verdict,
    ledger::incident::{News, State},
    record::Delivered,
};
use std::time::Duration;

/// What the channel says of the first notice at last.
fn answers(driver: &mut Driver, host: u64, result: Result<String, NotTaken>) {
    let incident = driver.incident().id;
    driver.tell(host, Input::NoticeSent { incident, notice: 1, result });
}

/// Somebody is called by a channel that does not answer, and then it is well again.
fn over_while_called(more: &str) -> Driver {
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", more)));
    driver.channel_answers = false;
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.channel_answers = true;
    driver.pass(5_000);
    assert_eq!(of(&driver, "ops", News::Resolved), 0, "not while the call may still arrive");
    driver
}

#[test]
fn a_call_that_arrives_when_it_is_over_is_followed_by_the_word_that_it_is() {
    let mut driver = over_while_called("");
    answers(&mut driver, 1, Ok("200".to_owned()));
    driver.pass(1_000);
    assert_eq!((called(&driver, "ops"), of(&driver, "ops", News::Resolved)), (1, 1));
    assert!(matches!(driver.incident().notices[0].done, Some((_, Delivered::Yes, _))));
    driver.pass(120_000);
    assert_eq!(told(&driver).len(), 2, "{:?}", told(&driver));

    let mut driver = over_while_called("recovery = false");
    answers(&mut driver, 1, Ok("200".to_owned()));
    driver.pass(120_000);
    assert_eq!(of(&driver, "ops", News::Resolved), 0, "it does not tell of ends");
}

#[test]
fn whoever_may_have_been_called_hears_that_it_is_over() {
    // No answer ever comes.
    let mut driver = over_while_called("");
    driver.pass(40_000);
    assert_eq!((called(&driver, "ops"), of(&driver, "ops", News::Resolved)), (1, 1));
    assert!(matches!(driver.incident().notices[0].done, Some((_, Delivered::Perhaps, _))));

    // The answer is lost on its way, and the one after it is a refusal.
    let mut driver = over_while_called("");
    let lost = NotTaken { perhaps: true, ..NotTaken::this_time("no answer within 10s") };
    answers(&mut driver, 1, Err(lost));
    driver.pass(1_000);
    assert_eq!((called(&driver, "ops"), of(&driver, "ops", News::Resolved)), (1, 1));

    // The leader that called dies before the log has it.
    let mut driver = over_while_called("");
    driver.kill(1);
    driver.elect(3);
    driver.pass(20_000);
    assert_eq!(of(&driver, "ops", News::Resolved), 0, "the old leader's call may be on its way");
    driver.pass(20_000);
    assert_eq!((called(&driver, "ops"), of(&driver, "ops", News::Resolved)), (1, 1));
}

#[test]
fn whom_no_call_reached_hears_of_no_end() {
    let mut driver = over_while_called("");
    answers(&mut driver, 1, Err(NotTaken::this_time("connection refused")));
    driver.pass(120_000);
    assert_eq!(told(&driver).len(), 1, "{:?}", told(&driver));
    assert!(matches!(driver.incident().notices[0].done, Some((_, Delivered::No, _))));
}

#[test]
fn a_second_call_that_is_on_its_way_is_waited_for_before_the_end_is_told() {
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", "repeat = \"1m\"")));
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    driver.pass(1_000);
    driver.channel_answers = false;
    driver.until("called again", |driver| called(driver, "ops") == 2);
    driver.channel_answers = true;
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(5_000);
    assert_eq!(of(&driver, "ops", News::Resolved), 0, "it would open the event anew");
    driver.pass(40_000);
    assert_eq!((called(&driver, "ops"), of(&driver, "ops", News::Resolved)), (2, 1));
}

/// A mesh in which somebody is called in vain for the first time.
fn called_in_vain() -> Driver {
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", "")));
    driver.channel_answers = false;
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    driver
}

#[test]
fn a_receiver_is_not_asked_before_the_time_that_it_asks_for() {
    // It asks for so many seconds; and so many at least, then at most, it is left alone.
    for (asked, least, most) in [(420, 418, 422), (0, 1, 3), (1 << 40, 3_598, 3_602)] {
        let mut driver = called_in_vain();
        let again = Again::After(Duration::from_secs(asked));
        answers(&mut driver, 1, Err(NotTaken { again, ..NotTaken::this_time("429") }));
        driver.pass(least * 1_000);
        assert_eq!(called(&driver, "ops"), 1, "{asked}");
        driver.pass((most - least) * 1_000);
        assert_eq!(called(&driver, "ops"), 2, "{asked}");
    }
}
