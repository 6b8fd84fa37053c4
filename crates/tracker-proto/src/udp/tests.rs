//! Exchanges in virtual time, with trackers that answer late, wrongly or not at all.

use core::time::Duration;

use super::*;
use crate::{
    answer::{AnnounceAnswer, Failure},
    request::{AnnounceRequest, Encryption, Event},
    scrape::ScrapeEntry,
};

const CONNECT_LENGTH: usize = 16;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: metainfo::InfoHash([1; 20]),
        peer_id: [2; 20],
        port: 3,
        key: 4,
        uploaded: 5,
        downloaded: 6,
        left: Some(7),
        event: Some(Event::Started),
        peers_wanted: 8,
        tracker_id: None,
        encryption: Encryption::Supported,
    }
}

fn exchange(sends_max: u32) -> Exchange {
    Exchange::new(Query::Announce(request(), "/".into()), Family::V4, None, sends_max, 1)
}

fn sent(exchange: &mut Exchange, at: u64) -> Vec<u8> {
    match exchange.poll(s(at)) {
        Step::Send(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}

/// An answer to what was sent: its action, then its transaction, then `body`.
fn answer(sent: &[u8], action: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, action], &sent[12..16], body].concat()
}

const ANNOUNCED: [u8; 12] = [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];

#[test]
fn an_announce_takes_two_round_trips_and_leaves_its_connection_for_others() {
    let mut e = exchange(9);
    let connect = sent(&mut e, 0);
    assert_eq!(connect.len(), CONNECT_LENGTH);
    assert_eq!(e.poll(s(1)), Step::WaitUntil(s(15)));
    e.handle_datagram(&answer(&connect, 0, &[9; 8]), s(1));
    let asked = sent(&mut e, 1);
    assert_eq!(asked[..8], [9; 8]);
    assert_ne!(asked[12..16], connect[12..16]);
    e.handle_datagram(&answer(&asked, 1, &ANNOUNCED), s(2));
    let Step::Done(Ok(Outcome::Announce(AnnounceAnswer { interval, .. }))) = e.poll(s(2)) else { panic!() };
    assert_eq!(interval, Some(s(1800)));
    assert_eq!(e.connection(), Some((ConnectionId(0x0909_0909_0909_0909), s(1))));
    let again =
        Exchange::new(Query::Announce(request(), "/".into()), Family::V4, e.connection(), 9, 2).poll(s(30));
    assert!(matches!(again, Step::Send(asked) if asked.len() > CONNECT_LENGTH));
}

#[test]
fn silence_is_waited_for_fifteen_seconds_and_twice_as_long_each_time() {
    let mut e = exchange(9);
    let (mut at, mut waits) = (s(0), Vec::new());
    loop {
        match e.poll(at) {
            Step::Send(datagram) => assert_eq!(datagram.len(), CONNECT_LENGTH),
            Step::WaitUntil(until) => {
                waits.push((until - at).as_secs());
                at = until;
            }
            Step::Done(result) => {
                assert!(matches!(result, Err(Failure::Unreachable { .. })), "{result:?}");
                break;
            }
        }
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1920, 3840]);
}

#[test]
fn a_tracker_that_goes_silent_after_connect_may_have_heard_us() {
    let mut e = exchange(1);
    let connect = sent(&mut e, 0);
    e.handle_datagram(&answer(&connect, 0, &[9; 8]), s(0));
    sent(&mut e, 0);
    assert!(matches!(e.poll(s(15)), Step::Done(Err(Failure::NoAnswer { .. }))));
}

#[test]
fn a_connection_is_not_used_beyond_its_minute() {
    let mut e = exchange(9);
    let connect = sent(&mut e, 0);
    e.handle_datagram(&answer(&connect, 0, &[9; 8]), s(0));
    assert_ne!(sent(&mut e, 0).len(), CONNECT_LENGTH);
    assert_ne!(sent(&mut e, 15).len(), CONNECT_LENGTH);
    assert_ne!(sent(&mut e, 45).len(), CONNECT_LENGTH);
    assert_eq!(sent(&mut e, 105).len(), CONNECT_LENGTH);
}

#[test]
fn strangers_answers_are_nobodys_business() {
    let mut e = exchange(9);
    let connect = sent(&mut e, 0);
    let mut other = answer(&connect, 0, &[9; 8]);
    other[7] ^= 1;
    e.handle_datagram(&other, s(0));
    e.handle_datagram(&answer(&connect, 1, &ANNOUNCED), s(0));
    e.handle_datagram(&answer(&connect, 0, &[9; 7]), s(0));
    e.handle_datagram(b"", s(0));
    assert_eq!(e.poll(s(0)), Step::WaitUntil(s(15)));
}

#[test]
fn a_tracker_that_forgot_the_connection_is_connected_to_once_more() {
    let mut e = exchange(9);
    let connect = sent(&mut e, 0);
    e.handle_datagram(&answer(&connect, 0, &[9; 8]), s(0));
    let asked = sent(&mut e, 0);
    e.handle_datagram(&answer(&asked, 3, b"Connection ID mismatch."), s(1));
    let connect = sent(&mut e, 1);
    assert_eq!(connect.len(), CONNECT_LENGTH);
    e.handle_datagram(&answer(&connect, 0, &[8; 8]), s(1));
    let asked = sent(&mut e, 1);
    assert_eq!(asked[..8], [8; 8]);
    e.handle_datagram(&answer(&asked, 3, b"Connection ID mismatch."), s(2));
    assert!(matches!(e.poll(s(2)), Step::Done(Err(Failure::Refused { .. }))));
}

#[test]
fn a_scrape_is_answered_in_the_order_asked() {
    let query = Query::Scrape(vec![metainfo::InfoHash([1; 20]); 2]);
    let mut e = Exchange::new(query, Family::V6, None, 9, 1);
    let connect = sent(&mut e, 0);
    e.handle_datagram(&answer(&connect, 0, &[9; 8]), s(0));
    let asked = sent(&mut e, 0);
    e.handle_datagram(&answer(&asked, 2, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0]), s(0));
    let entry = ScrapeEntry { seeders: 1, downloaded: 2, leechers: 3 };
    assert_eq!(e.poll(s(0)), Step::Done(Ok(Outcome::Scrape(vec![entry]))));
}
