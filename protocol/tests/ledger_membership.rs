//! Founding, joining, starting, stopping and leaving: what is refused, and that it changes nothing.

mod common;

use common::{Mesh, at, card, founding, id, name, ordered, stranger, token};
use protocol::{
    ledger::roster::Standing,
    order::{Action, Order},
    record::{Entry, PeerCard, Position, Record, TokenGrant, TokenId},
    refusal::Refusal,
};

fn joining(n: u64) -> Record {
    Record::PeerJoined { token: TokenId(7), peer: card(n) }
}

fn with_token(grant: TokenGrant) -> Mesh {
    let mut mesh = Mesh::of(2);
    mesh.order(Action::CreateToken(grant)).expect("a token");
    mesh
}

fn one_use() -> TokenGrant {
    token(7, 1)
}

#[test]
fn a_mesh_is_founded_once_and_nothing_is_written_before() {
    let mut mesh = Mesh::unfounded();
    let start = Record::PeerStarted { peer: card(1) };
    assert_eq!(mesh.refused(1, start), Refusal::NotFounded);
    mesh.done(1, Record::Founded(founding()));
    assert_eq!(mesh.refused(1, Record::Founded(founding())), Refusal::AlreadyFounded);
    assert_eq!(mesh.ledger.roster().members().count(), 1);
}

#[test]
fn a_decision_of_another_term_is_refused_and_a_fact_of_another_term_is_taken() {
    let mut mesh = Mesh::ready(3);
    let because = common::failing(mesh.now);
    let mut opened = mesh.entry(1, Record::Opened { peer: id(2), because });
    opened.term = 4;
    let position = Position { index: 100, term: 5 };
    let refusal = mesh.ledger.apply(position, &opened).expect_err("stale");
    assert_eq!(refusal, Refusal::StaleTerm { decided: 4, appended: 5 });
    let fact = Entry { term: 4, ..mesh.entry(3, Record::PeerStopped { peer: id(3) }) };
    assert!(mesh.ledger.apply(Position { index: 101, term: 5 }, &fact).is_ok());
}

#[test]
fn a_token_that_is_not_known_lets_nobody_in() {
    assert_eq!(Mesh::of(2).refused(1, joining(3)), Refusal::TokenUnknown);
}

#[test]
fn a_token_lets_in_as_many_as_it_says() {
    let mut mesh = with_token(one_use());
    mesh.done(1, joining(3));
    assert_eq!(mesh.refused(1, joining(4)), Refusal::TokenUsed);
}

#[test]
fn a_token_expires() {
    let mut mesh = with_token(TokenGrant { expires: at(2_000), ..one_use() });
    mesh.now = 2_001;
    assert_eq!(mesh.refused(1, joining(3)), Refusal::TokenExpired { expired: at(2_000) });
}

#[test]
fn a_bound_token_lets_in_its_name_only() {
    let mut mesh = with_token(TokenGrant { name: Some(name("web-4")), ..one_use() });
    assert_eq!(mesh.refused(1, joining(3)), Refusal::TokenBound { bound_to: name("web-4") });
    mesh.done(1, joining(4));
}

#[test]
fn a_name_and_an_id_belong_to_one_peer_and_an_id_for_ever() {
    let mut mesh = with_token(token(7, 9));
    let peer = PeerCard { id: id(3), ..card(2) };
    let joined = Record::PeerJoined { token: TokenId(7), peer };
    assert_eq!(mesh.refused(1, joined), Refusal::NameTaken { name: name("web-2") });
    let peer = PeerCard { id: id(2), ..card(3) };
    let joined = Record::PeerJoined { token: TokenId(7), peer };
    assert_eq!(mesh.refused(1, joined.clone()), Refusal::IdTaken { id: id(2) });
    mesh.done(2, Record::PeerLeft { peer: id(2) });
    assert_eq!(mesh.refused(1, joined), Refusal::IdTaken { id: id(2) });
    let peer = PeerCard { id: id(3), ..card(2) };
    mesh.done(1, Record::PeerJoined { token: TokenId(7), peer });
}

#[test]
fn nobody_speaks_for_another_peer() {
    let mut mesh = Mesh::of(3);
    for record in [
        Record::PeerStarted { peer: card(2) },
        Record::PeerStopped { peer: id(2) },
        Record::PeerLeft { peer: id(2) },
    ] {
        assert!(matches!(mesh.refused(3, record), Refusal::NotAllowed { .. }));
    }
}

#[test]
fn a_start_keeps_the_key_the_name_of_others_and_the_count() {
    let mut mesh = Mesh::of(2);
    let second = PeerCard { generation: 2, ..card(2) };
    mesh.done(2, Record::PeerStarted { peer: second.clone() });
    let started = |peer: PeerCard| Record::PeerStarted { peer };
    let other_key = PeerCard { public_key: [1; 32], ..second.clone() };
    assert!(matches!(mesh.refused(2, started(other_key)), Refusal::NotAllowed { .. }));
    assert!(matches!(mesh.refused(2, started(card(2))), Refusal::NotAllowed { .. }));
    let other_name = PeerCard { name: name("web-1"), ..second };
    assert_eq!(mesh.refused(2, started(other_name)), Refusal::NameTaken { name: name("web-1") });
    let unknown = mesh.refused(9, started(card(9)));
    assert_eq!(unknown, Refusal::UnknownPeer { peer: id(9).to_string() });
}

#[test]
fn who_has_left_is_nobody() {
    let mut mesh = Mesh::of(3);
    mesh.done(3, Record::PeerLeft { peer: id(3) });
    let unknown = Refusal::UnknownPeer { peer: id(3).to_string() };
    for record in [
        Record::PeerStarted { peer: card(3) },
        Record::PeerStopped { peer: id(3) },
        Record::PeerLeft { peer: id(3) },
    ] {
        assert_eq!(mesh.refused(3, record), unknown);
    }
    assert_eq!(mesh.order_refused(Action::RemovePeer { peer: id(3) }), unknown);
    assert_eq!(mesh.ledger.roster().ever(id(3)).map(|m| m.standing), Some(Standing::Left));
}

fn thaw(mesh: [u8; 32]) -> Order {
    Order { mesh, nonce: 1, expires: at(50_000), action: Action::Thaw }
}

#[test]
fn an_order_is_its_operators_for_this_mesh_and_holds_once_and_soon() {
    let mut mesh = Mesh::of(2);
    let refused = |mesh: &mut Mesh, order| mesh.refused(1, Record::Ordered { order });
    let foreign = thaw(common::ROOT).sign(&stranger());
    assert_eq!(refused(&mut mesh, foreign), Refusal::OrderNotSigned);
    let elsewhere = thaw([1; 32]).sign(&common::operator());
    assert_eq!(refused(&mut mesh, elsewhere), Refusal::OrderNotSigned);
    let order = ordered(1, at(50_000), Action::Thaw);
    mesh.done(1, Record::Ordered { order: order.clone() });
    assert_eq!(refused(&mut mesh, order.clone()), Refusal::OrderSpent);
    mesh.now = 50_001;
    assert_eq!(refused(&mut mesh, order), Refusal::OrderExpired { expired: at(50_000) });
}

#[test]
fn an_order_that_is_refused_may_be_given_again_and_leaves_no_trace() {
    let mut mesh = Mesh::of(2);
    mesh.done(1, Record::Ordered { order: ordered(1, at(2_000), Action::Thaw) });
    mesh.now = 3_000;
    let order = ordered(2, at(50_000), Action::RemovePeer { peer: id(9) });
    let refused = mesh.refused(1, Record::Ordered { order: order.clone() });
    assert!(matches!(refused, Refusal::UnknownPeer { .. }));
    let again = mesh.refused(1, Record::Ordered { order });
    assert!(matches!(again, Refusal::UnknownPeer { .. }), "it is not spent");
}

#[test]
fn a_reason_is_bounded() {
    let mut mesh = Mesh::of(2);
    let refusal = mesh.order_refused(Action::Freeze { reason: "x".repeat(1_001) });
    assert!(matches!(refusal, Refusal::TooLarge { .. }));
    mesh.order(Action::Freeze { reason: "x".repeat(1_000) }).expect("it fits");
    assert!(mesh.ledger.frozen().is_some());
    mesh.order(Action::Thaw).expect("thawed");
    assert!(mesh.ledger.frozen().is_none());
}
