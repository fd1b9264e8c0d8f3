//! Whom the leader believes to be there: gossip tells of its own cell, watchers tell of all.

mod common;

use common::{card, driver::Driver, id};
use protocol::{agent::Input, record::Seen};

/// Peers 1 to 3 in one cell and 4 to 6 in another; gossip tells of one's own cell alone.
fn two_cells() -> Driver {
    let cell = |n: u64| u32::from(n > 3);
    let mut driver = Driver::of(6);
    // What it was told as one cell is forgotten.
    driver.settle();
    driver.gossip = false;
    for n in 1..=6 {
        driver.reboot(n, protocol::record::PeerCard { generation: 2, cell: cell(n), ..card(n) });
    }
    for n in 1..=6 {
        for other in (1..=6).filter(|other| *other != n && cell(*other) == cell(n)) {
            driver.post(n, Input::Liveness { peer: id(other), alive: true });
        }
    }
    driver.pass(2_000);
    driver
}

#[test]
fn a_host_of_another_cell_is_repaired_while_nobody_misses_it() {
    let mut driver = two_cells();
    driver.fails(5);
    driver.until("repaired", |driver| !driver.executed().is_empty());
    assert_eq!(driver.executed(), [(5, "restart".to_owned())]);
}

#[test]
fn whom_a_watcher_misses_is_not_sent_to_repair_anything() {
    let first = |missed: Option<u64>| {
        let mut driver = Driver::of(8);
        driver.pass(2_000);
        // Who looks for itself cannot say.
        driver.lied_about.extend(missed);
        driver.lies.extend(missed.into_iter().flat_map(|_| 1..=8).map(|n| (n, Seen::Abstained)));
        if let Some(missed) = missed {
            driver.post(1, Input::Suspected { peer: id(missed), seen: Seen::NoAnswer });
        }
        driver.kill(8);
        driver.until("somebody goes", |driver| !driver.executed().is_empty());
        driver.executed()[0].0
    };
    let usual = first(None);
    assert!([2, 5].contains(&usual), "one of its zone");
    assert_eq!(first(Some(usual)), 7 - usual, "the other one");
}
