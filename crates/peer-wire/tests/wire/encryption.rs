//! MSE between two connections, and what no end of it takes.

use crate::common::{End, TORRENT, extended, handshake, talk};
use bytes::Bytes;
use metainfo::InfoHash;
use peer_wire::{
    Connection, Encryption, EncryptionPolicy, Event, Handshake, Message, ProtocolError, RawBlock,
};
use proptest::prelude::*;

const POLICIES: [EncryptionPolicy; 3] =
    [EncryptionPolicy::Prefer, EncryptionPolicy::Require, EncryptionPolicy::Disable];

/// What two policies come to, dialler first; `None` where they have nothing in common.
fn agreed(a: EncryptionPolicy, b: EncryptionPolicy) -> Option<Encryption> {
    use EncryptionPolicy::{Disable, Prefer, Require};
    match (a, b) {
        (Prefer, Prefer) => Some(Encryption::Handshake),
        (Prefer | Require, Require) | (Require, Prefer) => Some(Encryption::Full),
        (Disable, Prefer | Disable) => Some(Encryption::None),
        (Disable, Require) | (Prefer | Require, Disable) => None,
    }
}

fn conversation(data: &[u8]) -> Vec<Message> {
    vec![
        Message::ExtendedHandshake(Box::new(extended())),
        Message::HaveAll,
        Message::Request(RawBlock { piece: 1, begin: 2, length: 3 }),
        Message::Piece { piece: 4, begin: 5, data: Bytes::copy_from_slice(data) },
        Message::Unchoke,
    ]
}

proptest! {
    #[test]
    fn two_ends_agree_as_their_policies_allow_however_the_bytes_are_cut(
        (a, b) in (0..3_usize, 0..3_usize),
        seeds in any::<(u64, u64)>(),
        sizes in prop::collection::vec(1..900_usize, 1..6),
        early in any::<bool>(),
        data in prop::collection::vec(any::<u8>(), 1..3_000),
    ) {
        let (a_policy, b_policy) = (POLICIES[a], POLICIES[b]);
        let (mut a, mut b) = (End::dialled(a_policy, seeds.0), End::accepted(b_policy, seeds.1));
        let said = conversation(&data);
        if early {
            for message in &said {
                a.connection.send(message.clone()).unwrap();
                b.connection.send(message.clone()).unwrap();
            }
        }
        let outcome = talk(&mut a, &mut b, &sizes);
        let Some(encryption) = agreed(a_policy, b_policy) else {
            prop_assert!(outcome.is_err());
            return Ok(());
        };
        outcome.unwrap();
        if !early {
            for message in &said {
                a.connection.send(message.clone()).unwrap();
                b.connection.send(message.clone()).unwrap();
            }
            talk(&mut a, &mut b, &sizes).unwrap();
        }
        prop_assert!(a.events.contains(&Event::Handshaken(handshake(2), encryption)));
        prop_assert!(b.events.contains(&Event::Handshaken(handshake(1), encryption)));
        prop_assert_eq!(a.messages(), said.clone());
        prop_assert_eq!(b.messages(), said);
        prop_assert!(a.buf.is_empty() && b.buf.is_empty());
    }

    #[test]
    fn damaged_handshakes_are_refused_or_understood_but_never_panic(
        place in 0..900_usize, bit in 0..8_u32, seed in any::<u64>(), require in any::<bool>(),
    ) {
        let policy = if require { EncryptionPolicy::Require } else { EncryptionPolicy::Prefer };
        let (mut a, mut b) = (End::dialled(policy, seed), End::accepted(policy, !seed));
        b.receive(&a.output()).unwrap();
        a.receive(&b.output()).unwrap();
        let mut proof = a.output();
        let place = place % proof.len();
        proof[place] ^= 1_u8 << bit;
        // The info-hash that comes out may be another: then nobody accepts it.
        let mut buf = bytes::BytesMut::from(&proof[..]);
        while let Ok(Some(event)) = b.connection.receive(&mut buf) {
            if event == Event::Obfuscated(peer_wire::obfuscated(&TORRENT)) {
                b.connection.accept(handshake(2));
            }
        }
    }
}

#[test]
fn nothing_of_an_encrypted_connection_can_be_read_off_the_wire() {
    let (mut a, mut b) =
        (End::dialled(EncryptionPolicy::Require, 1), End::accepted(EncryptionPolicy::Require, 2));
    let mut wire = Vec::new();
    for message in conversation(&[b'x'; 20_000][..16_384]) {
        a.connection.send(message).unwrap();
    }
    for _ in 0..8 {
        let (from_a, from_b) = (a.output(), b.output());
        b.receive(&from_a).unwrap();
        a.receive(&from_b).unwrap();
        wire.extend(from_a);
        wire.extend(from_b);
    }
    assert_eq!(b.messages().len(), 5);
    for word in [&b"BitTorrent"[..], b"ut_metadata", b"xxxx", &TORRENT.0] {
        assert!(!wire.windows(word.len()).any(|window| window == word));
    }
}

#[test]
fn payload_that_others_hold_is_not_encrypted_under_their_hands() {
    let (mut a, mut b) =
        (End::dialled(EncryptionPolicy::Require, 1), End::accepted(EncryptionPolicy::Require, 2));
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    let data = Bytes::from(vec![9; 16 << 10]);
    for _ in 0..2 {
        a.connection.send(Message::Piece { piece: 0, begin: 0, data: data.clone() }).unwrap();
    }
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    assert!(data.iter().all(|byte| *byte == 9));
    assert_eq!(b.messages(), vec![Message::Piece { piece: 0, begin: 0, data }; 2]);
}

#[test]
fn an_encrypted_connection_about_another_torrent_comes_to_nothing() {
    let other = Handshake { info_hash: InfoHash([1; 20]), ..handshake(2) };
    let mut a = End::dialled(EncryptionPolicy::Prefer, 1);
    let mut b = End::new(Connection::incoming(EncryptionPolicy::Prefer, 2), other);
    assert_eq!(talk(&mut a, &mut b, &[usize::MAX]), Err(ProtocolError::Encryption("the handshake is over")));
}

#[test]
fn padding_has_an_end() {
    let mut b = End::accepted(EncryptionPolicy::Prefer, 1);
    b.receive(&[0x42; 96]).unwrap();
    assert_eq!(b.receive(&[0x42; 531]), Ok(()));
    assert_eq!(b.receive(&[0x42; 1]), Err(ProtocolError::Encryption("nothing follows 512 bytes of padding")));
}

#[test]
fn a_public_key_that_fixes_the_secret_is_refused() {
    for key in [[&[0; 95][..], &[1]].concat(), vec![0; 96], vec![0xff; 96]] {
        let mut b = End::accepted(EncryptionPolicy::Prefer, 1);
        assert_eq!(b.receive(&key), Err(ProtocolError::Encryption("the peer's public key is none")));
    }
}

#[test]
fn keys_and_padding_differ_with_the_seed() {
    let first = |seed| End::dialled(EncryptionPolicy::Prefer, seed).output();
    assert_eq!(first(1), first(1));
    assert_ne!(first(1)[..96], first(2)[..96]);
    assert!((0..40).map(|seed| first(seed).len()).all(|length| (96..=608).contains(&length)));
}
