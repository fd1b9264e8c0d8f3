//! An alert that nobody ends is ended by an operator, and by nobody who is none.

mod common;

use common::{Mesh, at};
use ed25519_dalek::SigningKey;
use protocol::{
    alert::{Alert, Word},
    order::{Action, Order},
    record::Record,
    refusal::Refusal,
};
use std::collections::BTreeMap;

fn alert(since: u64, ends: Option<u64>) -> Alert {
    let labels = BTreeMap::from([("alertname".to_owned(), "Down".to_owned())]);
    Alert::new(labels, "", at(since), ends.map(at)).expect("it is an alert")
}

fn fires(mesh: &mut Mesh, alert: Alert) {
    mesh.done(1, Record::Alerted { words: vec![Word::Fires(alert)] });
}

fn firing(mesh: &Mesh) -> usize {
    mesh.ledger.alerts().firing(mesh.ledger.last_at()).count()
}

fn end() -> Action {
    Action::EndAlert { alert: alert(1, None).id(), reason: "its sender is gone".to_owned() }
}

#[test]
fn an_operator_ends_an_alert_and_its_sender_is_heard_again() {
    let mut mesh = Mesh::of(2);
    let refusal = mesh.order_refused(end());
    assert!(matches!(refusal, Refusal::UnknownAlert { .. }), "{refusal}");
    assert!(refusal.to_string().contains("hearten alert list"), "{refusal}");
    let now = mesh.now;
    for told in [alert(1, None), alert(1, Some(now + 3_600_000))] {
        for _ in 0..2 {
            fires(&mut mesh, told.clone());
            assert_eq!(firing(&mesh), 1, "told again, it fires: {told:?}");
            mesh.order(end()).expect("ended");
            assert_eq!(firing(&mesh), 0);
        }
    }
    assert!(matches!(mesh.order_refused(end()), Refusal::UnknownAlert { .. }));
    // What its senders ended before stays over.
    let over = Word::Ended { alert: alert(1, None).id(), starts_at: Some(at(1)), at: at(now) };
    fires(&mut mesh, alert(1, None));
    mesh.done(1, Record::Alerted { words: vec![over, Word::Fires(alert(now + 1, None))] });
    mesh.order(end()).expect("ended");
    fires(&mut mesh, alert(1, None));
    assert_eq!(firing(&mesh), 0, "an old word");
}

#[test]
fn who_is_no_operator_ends_nothing_and_nobody_with_endless_words() {
    let mut mesh = Mesh::of(2);
    fires(&mut mesh, alert(1, None));
    let long = Action::EndAlert { alert: alert(1, None).id(), reason: "x".repeat(1_001) };
    assert!(matches!(mesh.order_refused(long), Refusal::TooLarge { .. }));
    let stranger = SigningKey::from_bytes(&[77; 32]);
    let root = mesh.ledger.mesh().expect("it is founded").root_fingerprint;
    let expires = at(mesh.now + 60_000);
    let order = Order { mesh: root, nonce: 4_711, expires, action: end() }.sign(&stranger);
    assert!(matches!(mesh.refused(1, Record::Ordered { order }), Refusal::OrderNotSigned));
    assert_eq!(firing(&mesh), 1);
}
