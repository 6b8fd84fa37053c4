//! What trackers answer: HTTP bodies and UDP datagrams.

use std::time::Duration;

use metainfo::InfoHash;
use tracker_proto::{
    AnnounceRequest, Announcer, Counters, Encryption, Event, Options, TrackerKey, read_announce, read_scrape,
    udp::{Exchange, Family, Query, Step, read},
};

const HASH: InfoHash = InfoHash([b'a'; 20]);

/// A body, as the answer to an announce that an announcer awaits, and to a scrape.
pub(crate) fn http(data: &[u8]) {
    let _ = read_scrape(data, &[HASH, InfoHash([0; 20])]);
    let tier = vec![vec!["http://t.test/announce".parse().expect("an address")]];
    let mut announcer = Announcer::new(tier, Options::default(), 1);
    let (mut now, counters) = (Duration::ZERO, Counters::default());
    for _ in 0..3 {
        if announcer.poll(now, &counters).is_none() {
            break;
        }
        match read_announce(data) {
            Ok(answer) => announcer.handle_response(now, TrackerKey(0), &answer),
            Err(failure) => announcer.handle_failure(now, TrackerKey(0), &failure),
        }
        let _ = announcer.status();
        let Some(next) = announcer.next_timeout(now) else { break };
        assert!(next > now, "an answered tracker is due at once");
        now = next;
    }
}

/// Datagrams, each after a byte of length, to an announce and to a scrape; a length of 0 lets time pass.
pub(crate) fn udp(data: &[u8]) {
    let request = AnnounceRequest {
        info_hash: HASH,
        peer_id: [b'b'; 20],
        port: 1,
        key: 2,
        uploaded: 3,
        downloaded: 4,
        left: None,
        event: Some(Event::Started),
        peers_wanted: 50,
        tracker_id: None,
        encryption: Encryption::None,
    };
    for family in [Family::V4, Family::V6] {
        let _ = read(data, family);
        for query in [Query::Announce(request.clone(), "/announce".into()), Query::Scrape(vec![HASH; 3])] {
            exchange(Exchange::new(query, family, None, 9, 1), data);
        }
    }
}

fn exchange(mut exchange: Exchange, mut data: &[u8]) {
    let (mut now, mut asked) = (Duration::ZERO, Vec::new());
    for _ in 0..64 {
        match exchange.poll(now) {
            Step::Send(datagram) => asked = datagram,
            Step::Done(_) => break,
            Step::WaitUntil(until) => {
                let Some((length, rest)) = data.split_first() else { break };
                let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
                data = rest;
                let mut datagram = datagram.to_vec();
                // No fuzzer guesses the transaction: it is put in.
                if let (Some(field), Some(transaction)) = (datagram.get_mut(4..8), asked.get(12..16)) {
                    field.copy_from_slice(transaction);
                }
                if *length == 0 {
                    now = until;
                }
                exchange.handle_datagram(&datagram, now);
            }
        }
    }
}
