//! Messages between two connections, and messages that no connection takes.

use crate::common::{End, TORRENT, extended, handshake, pair, talk};
use bytes::{Bytes, BytesMut};
use peer_wire::{
    Connection, Encryption, EncryptionPolicy, Event, ExtendedHandshake, Extensions, Handshake, Message,
    MetadataMessage, NotNegotiated, PeerId, Pex, PexFlags, PexPeer, ProtocolError, RawBlock, Reserved,
};
use proptest::prelude::*;

fn raw_block() -> impl Strategy<Value = RawBlock> {
    (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(piece, begin, length)| RawBlock {
        piece,
        begin,
        length,
    })
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..=max).prop_map(Bytes::from)
}

fn addr() -> impl Strategy<Value = core::net::SocketAddr> {
    (any::<core::net::IpAddr>(), 1..=u16::MAX).prop_map(Into::into)
}

fn pex() -> impl Strategy<Value = Pex> {
    let added = (addr(), any::<u8>()).prop_map(|(addr, flags)| PexPeer { addr, flags: PexFlags(flags) });
    (prop::collection::vec(added, 0..50), prop::collection::vec(addr(), 0..50)).prop_map(
        |(mut added, mut dropped)| {
            // Families come one after the other.
            added.sort_by_key(|peer| peer.addr.is_ipv6());
            dropped.sort_by_key(core::net::SocketAddr::is_ipv6);
            Pex { added, dropped }
        },
    )
}

prop_compose! {
    fn extended_handshake()(
        (metadata, pex, dont_have, upload_only) in any::<(bool, bool, bool, bool)>(),
        client in prop::option::of("[a-zA-Zäöü0-9/. ]{1,64}"),
        port in prop::option::of(1..=u16::MAX),
        request_queue in any::<Option<u32>>(),
        metadata_size in prop::option::of(1..=peer_wire::METADATA_LENGTH_MAX),
        your_ip in any::<Option<core::net::IpAddr>>(),
        ipv4 in any::<Option<core::net::Ipv4Addr>>(),
        ipv6 in any::<Option<core::net::Ipv6Addr>>(),
        only in any::<bool>(),
        complete_ago in any::<Option<u32>>(),
    ) -> ExtendedHandshake {
        ExtendedHandshake {
            extensions: Extensions { metadata, pex, dont_have, upload_only },
            client, port, request_queue, metadata_size, your_ip, ipv4, ipv6, upload_only: only, complete_ago,
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        any::<u32>().prop_map(Message::Have),
        raw_block().prop_map(Message::Request),
        (any::<u32>(), any::<u32>(), bytes(16 << 10)).prop_map(|(piece, begin, data)| Message::Piece {
            piece,
            begin,
            data
        }),
        raw_block().prop_map(Message::Cancel),
        any::<u16>().prop_map(Message::Port),
        any::<u32>().prop_map(Message::SuggestPiece),
        raw_block().prop_map(Message::Reject),
        any::<u32>().prop_map(Message::AllowedFast),
        any::<u32>().prop_map(|piece| Message::Metadata(MetadataMessage::Request { piece })),
        (any::<u32>(), 1..=peer_wire::METADATA_LENGTH_MAX, bytes(16 << 10)).prop_map(
            |(piece, total, data)| { Message::Metadata(MetadataMessage::Data { piece, total, data }) }
        ),
        any::<u32>().prop_map(|piece| Message::Metadata(MetadataMessage::Reject { piece })),
        pex().prop_map(|pex| Message::Pex(Box::new(pex))),
        any::<u32>().prop_map(Message::DontHave),
        any::<bool>().prop_map(Message::UploadOnly),
    ]
}

fn haves() -> impl Strategy<Value = Option<Message>> {
    prop_oneof![
        Just(None),
        Just(Some(Message::HaveAll)),
        Just(Some(Message::HaveNone)),
        bytes(3_000).prop_map(|bits| Some(Message::Bitfield(bits))),
    ]
}

proptest! {
    #[test]
    fn messages_arrive_as_they_were_sent_however_the_bytes_are_cut(
        first in haves(),
        rest in prop::collection::vec(message(), 0..12),
        sizes in prop::collection::vec(1..20_000_usize, 1..8),
    ) {
        let (mut a, mut b) = pair();
        let sent: Vec<Message> = first.into_iter().chain(rest).collect();
        for message in &sent {
            a.connection.send(message.clone()).unwrap();
        }
        talk(&mut a, &mut b, &sizes).unwrap();
        prop_assert_eq!(b.messages(), sent);
        prop_assert!(b.buf.is_empty());
    }

    #[test]
    fn extended_handshakes_arrive_as_they_were_sent(said in extended_handshake()) {
        let (mut a, mut b) =
            (End::dialled(EncryptionPolicy::Disable, 1), End::accepted(EncryptionPolicy::Disable, 2));
        let message = Message::ExtendedHandshake(Box::new(said));
        a.connection.send(message.clone()).unwrap();
        talk(&mut a, &mut b, &[7]).unwrap();
        prop_assert_eq!(b.messages(), [message]);
    }

    #[test]
    fn no_bytes_make_a_connection_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        sizes in prop::collection::vec(1..500_usize, 1..4),
        incoming in any::<bool>(),
    ) {
        let mut end = if incoming {
            End::accepted(EncryptionPolicy::Prefer, 1)
        } else {
            End::dialled(EncryptionPolicy::Prefer, 1)
        };
        let mut sizes = sizes.into_iter().cycle();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            rest = later;
            if end.receive(chunk).is_err() {
                break;
            }
        }
    }

    #[test]
    fn no_frames_make_a_connection_panic(
        frames in prop::collection::vec((0..24_u8, prop::collection::vec(any::<u8>(), 0..60)), 0..30),
        pieces in any::<Option<u32>>(),
    ) {
        let (_, mut b) = pair();
        if let Some(pieces) = pieces {
            b.connection.set_pieces(pieces);
        }
        for (id, body) in frames {
            if b.receive(&frame(id, &body)).is_err() {
                break;
            }
        }
    }
}

fn frame(id: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap();
    [&length.to_be_bytes()[..], &[id], body].concat()
}

fn refused(bytes: &[u8]) -> String {
    let (_, mut b) = pair();
    b.connection.set_pieces(20);
    b.receive(bytes).unwrap_err().to_string()
}

#[test]
fn messages_stand_on_the_wire_as_specified() {
    let (mut a, _) = pair();
    for message in [
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(0x0102_0304),
        Message::Request(RawBlock { piece: 1, begin: 0x4000, length: 0x4000 }),
        Message::Piece { piece: 1, begin: 2, data: Bytes::from_static(b"data") },
        Message::Cancel(RawBlock { piece: 1, begin: 0x4000, length: 0x4000 }),
        Message::Port(6881),
        Message::SuggestPiece(5),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(RawBlock { piece: 1, begin: 2, length: 3 }),
        Message::AllowedFast(6),
        Message::Bitfield(Bytes::from_static(b"\xff\x80")),
        Message::Metadata(MetadataMessage::Request { piece: 0 }),
        Message::DontHave(9),
        Message::UploadOnly(true),
    ] {
        a.connection.send(message).unwrap();
    }
    let expected: &[&[u8]] = &[
        b"\0\0\0\0",
        b"\0\0\0\x01\0",
        b"\0\0\0\x01\x01",
        b"\0\0\0\x01\x02",
        b"\0\0\0\x01\x03",
        b"\0\0\0\x05\x04\x01\x02\x03\x04",
        b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\x40\0",
        b"\0\0\0\x0d\x07\0\0\0\x01\0\0\0\x02data",
        b"\0\0\0\x0d\x08\0\0\0\x01\0\0\x40\0\0\0\x40\0",
        b"\0\0\0\x03\x09\x1a\xe1",
        b"\0\0\0\x05\x0d\0\0\0\x05",
        b"\0\0\0\x01\x0e",
        b"\0\0\0\x01\x0f",
        b"\0\0\0\x0d\x10\0\0\0\x01\0\0\0\x02\0\0\0\x03",
        b"\0\0\0\x05\x11\0\0\0\x06",
        b"\0\0\0\x03\x05\xff\x80",
        b"\0\0\0\x1b\x14\x02d8:msg_typei0e5:piecei0ee",
        b"\0\0\0\x06\x14\x07\0\0\0\x09",
        b"\0\0\0\x03\x14\x03\x01",
    ];
    assert_eq!(a.output(), expected.concat());
}

#[test]
fn the_handshake_stands_on_the_wire_as_specified() {
    let mut a = End::dialled(EncryptionPolicy::Disable, 1);
    let expected = [&b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05"[..], &[0x5a; 20], &[1; 20]].concat();
    assert_eq!(a.output(), expected);
}

#[test]
fn an_extended_handshake_of_another_client_is_understood() {
    let (_, mut b) = pair();
    let said =
        b"\0d12:complete_agoi-1e1:md11:LT_metadatai14e6:ut_pexi9e11:ut_metadatai0ee13:metadata_sizei31235e\
        1:pi6881e4:reqqi500e1:v15:\xc2\xb5Torrent 3.5.56:yourip4\x3a\x7f\0\0\x01e";
    b.receive(&frame(20, said)).unwrap();
    let [Message::ExtendedHandshake(said)] = &b.messages()[..] else { panic!("{:?}", b.events) };
    assert_eq!(
        **said,
        ExtendedHandshake {
            // The other end of the pair had announced the rest before.
            extensions: Extensions { metadata: false, pex: true, dont_have: true, upload_only: true },
            client: Some("µTorrent 3.5.5".to_owned()),
            port: Some(6881),
            request_queue: Some(500),
            metadata_size: Some(31_235),
            your_ip: Some("127.0.0.1".parse().unwrap()),
            ..ExtendedHandshake::default()
        }
    );
    let gone = b.connection.send(Message::Metadata(MetadataMessage::Request { piece: 0 }));
    assert_eq!(gone, Err(NotNegotiated { name: "ut_metadata" }));
    b.connection.send(Message::Pex(Box::default())).unwrap();
    assert_eq!(b.output()[4..6], [20, 9]);
}

#[test]
fn pex_takes_both_families_and_flags_and_leaves_out_what_has_no_port() {
    let (_, mut b) = pair();
    let said = b"\x01d5:added12:\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\0\x007:added.f2:\x12\x016:added618:\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x507:dropped6:\x09\x08\x07\x06\0\x01e";
    b.receive(&frame(20, said)).unwrap();
    let expected = Pex {
        added: vec![
            PexPeer {
                addr: "1.2.3.4:6881".parse().unwrap(),
                flags: PexFlags::SEED.with(PexFlags::REACHABLE),
            },
            PexPeer { addr: "[2001:db8::1]:80".parse().unwrap(), flags: PexFlags::default() },
        ],
        dropped: vec!["9.8.7.6:1".parse().unwrap()],
    };
    assert_eq!(b.messages(), [Message::Pex(Box::new(expected))]);
}

#[test]
fn payload_is_a_slice_of_the_buffer_and_goes_out_as_the_very_bytes_that_were_sent() {
    let (mut a, mut b) = pair();
    let data = Bytes::from(vec![7; 16 << 10]);
    a.connection.send(Message::Piece { piece: 1, begin: 2, data: data.clone() }).unwrap();
    let mut out = Default::default();
    a.connection.take_output(&mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(out[1].as_ptr(), data.as_ptr());

    let mut buf = BytesMut::with_capacity(32 << 10);
    out.iter().for_each(|bytes| buf.extend_from_slice(bytes));
    let payload = buf[13..].as_ptr();
    let Ok(Some(Event::Message(Message::Piece { data, .. }))) = b.connection.receive(&mut buf) else {
        panic!()
    };
    assert_eq!(data.as_ptr(), payload);
}

#[test]
fn a_message_is_refused_by_its_length_before_its_bytes_are_there() {
    for (bytes, error) in [
        (&b"\0\0\x40\x0a\x07"[..], "message piece has 16394 bytes: more than 16393"),
        (b"\xff\xff\xff\xff\x07", "message piece has 4294967295 bytes: more than 16393"),
        (b"\0\0\0\x09\x07", "message piece has 9 bytes: not 10"),
        (b"\0\0\0\x05\x05", "message bitfield has 5 bytes: not 4"),
        (b"\0\0\0\x04\x04", "message have has 4 bytes: not 5"),
        (b"\0\0\0\x0e\x06", "message request has 14 bytes: not 13"),
        (b"\0\x02\0\0\x63", "message unknown has 131072 bytes: more than 32769"),
        (b"\0\0\0\x01\x14", "message extended has 1 bytes: not 2"),
        (b"\0\x01\0\0\x14\0", "message extended handshake has 65536 bytes: more than 16386"),
        (b"\0\x01\0\0\x14\x02", "message ut_metadata has 65536 bytes: more than 16642"),
        (b"\0\x01\0\0\x14\x01", "message ut_pex has 65536 bytes: more than 16386"),
    ] {
        assert_eq!(refused(bytes), error);
    }
}

#[test]
fn a_bitfield_of_unknown_length_is_bounded() {
    let (_, mut b) = pair();
    b.receive(b"\0\x08\0\x02\x05").unwrap();
    assert_eq!(b.connection.bytes_wanted(&b.buf), (512 << 10) + 1);
    let (_, mut b) = pair();
    assert!(b.receive(b"\0\x08\0\x03\x05").is_err());
}

#[test]
fn nothing_is_stated_after_everything_and_nothing_is_given_back() {
    assert_eq!(
        refused(&[frame(14, b""), frame(15, b"")].concat()),
        "message have none comes twice or too late"
    );
    assert_eq!(
        refused(&[frame(14, b""), frame(5, &[0; 3])].concat()),
        "message bitfield comes twice or too late"
    );
    assert_eq!(
        refused(&[frame(4, &[0; 4]), frame(15, b"")].concat()),
        "message have none comes twice or too late"
    );
}

#[test]
fn a_bitfield_in_the_middle_is_taken_as_aria2_sends_it() {
    let (_, mut b) = pair();
    let messages = [frame(5, &[0; 3]), frame(4, &[0; 4]), frame(5, &[255; 3]), frame(14, b"")].concat();
    assert!(b.receive(&messages).is_ok());
}

#[test]
fn extension_messages_that_cannot_be_read_are_refused() {
    assert_eq!(
        refused(&frame(20, b"\0d1:m")),
        "message extended handshake: bencode: at byte 4: the input ends within a value"
    );
    assert_eq!(refused(&frame(20, b"\0i1e")), "message extended handshake: no dictionary");
    assert_eq!(
        refused(&frame(20, b"\x02d8:msg_typei1e5:piecei0e10:total_sizei9ee")),
        "message ut_metadata: a block that is empty or longer than 16384 bytes"
    );
    assert_eq!(refused(&frame(20, b"\x02d8:msg_typei0ee")), "message ut_metadata: no piece");
    assert_eq!(
        refused(&frame(20, b"\x02d8:msg_typei1e5:piecei0e10:total_sizei99999999999eex")),
        "message ut_metadata: no total_size within its limit"
    );
}

#[test]
fn unknown_messages_are_skipped_and_unannounced_extensions_are_named() {
    let (_, mut b) = pair();
    b.receive(
        &[frame(21, b"hashes"), frame(20, b"\x63?"), frame(20, b"\x02d8:msg_typei7e5:piecei0ee")].concat(),
    )
    .unwrap();
    assert_eq!(b.messages(), [Message::UnknownExtended(0x63)]);
}

#[test]
fn an_extension_that_we_did_not_announce_is_not_read() {
    let (mut a, mut b) =
        (End::dialled(EncryptionPolicy::Disable, 1), End::accepted(EncryptionPolicy::Disable, 2));
    let private = ExtendedHandshake {
        extensions: Extensions { pex: false, ..extended().extensions },
        ..ExtendedHandshake::default()
    };
    b.connection.send(Message::ExtendedHandshake(Box::new(private))).unwrap();
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    assert_eq!(a.connection.send(Message::Pex(Box::default())), Err(NotNegotiated { name: "ut_pex" }));
    b.receive(&frame(20, b"\x01d5:added6:\x01\x02\x03\x04\x1a\xe1e")).unwrap();
    assert_eq!(b.messages(), [Message::UnknownExtended(1)]);
}

#[test]
fn what_was_not_negotiated_is_neither_sent_nor_taken() {
    let old = Handshake { reserved: Reserved([0; 8]), ..handshake(1) };
    let mut a = End::new(Connection::outgoing(old, EncryptionPolicy::Disable, 1), old);
    let mut b = End::accepted(EncryptionPolicy::Disable, 2);
    b.connection.send(Message::ExtendedHandshake(Box::new(extended()))).unwrap();
    b.connection.send(Message::Unchoke).unwrap();
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    assert_eq!(a.messages(), [Message::Unchoke]);
    assert_eq!(b.connection.send(Message::HaveAll), Err(NotNegotiated { name: "have all" }));
    assert_eq!(
        b.connection.send(Message::ExtendedHandshake(Box::default())),
        Err(NotNegotiated { name: "extended handshake" })
    );
    assert_eq!(b.receive(&frame(14, b"")), Err(ProtocolError::NotNegotiated { name: "have all" }));
    let (mut a, mut b) = (
        End::new(Connection::outgoing(old, EncryptionPolicy::Disable, 1), old),
        End::accepted(EncryptionPolicy::Disable, 2),
    );
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    assert_eq!(b.receive(&frame(20, b"\0de")), Err(ProtocolError::NotNegotiated { name: "extended" }));
}

#[test]
fn an_incoming_connection_is_told_by_its_torrent_before_the_peer_id_is_there() {
    let mut b = End::accepted(EncryptionPolicy::Prefer, 1);
    b.receive(&handshake(1).to_bytes()[..48]).unwrap();
    assert_eq!(b.events, [Event::InfoHash(TORRENT)]);
    assert_eq!(b.output(), handshake(2).to_bytes());
    b.receive(&handshake(1).to_bytes()[48..]).unwrap();
    assert_eq!(b.events[1..], [Event::Handshaken(handshake(1), Encryption::None)]);
    assert_eq!(b.connection.peer(), Some((&handshake(1), Encryption::None)));
}

#[test]
fn other_protocols_and_other_torrents_are_refused() {
    let mut a = End::dialled(EncryptionPolicy::Disable, 1);
    assert_eq!(a.receive(b"HTTP/1.1"), Err(ProtocolError::NotBitTorrent));
    let mut a = End::dialled(EncryptionPolicy::Disable, 1);
    let other =
        Handshake { info_hash: metainfo::InfoHash([0; 20]), peer_id: PeerId([9; 20]), ..handshake(1) };
    assert_eq!(a.receive(&other.to_bytes()), Err(ProtocolError::OtherTorrent));
    let mut b = End::accepted(EncryptionPolicy::Disable, 1);
    assert_eq!(b.receive(b"GET / HTTP/1.1\r\n"), Err(ProtocolError::NotBitTorrent));
}
