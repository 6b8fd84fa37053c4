//! What is bencode and what is not, by example and by chance.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bencode::{Decoder, Item, Problem, Value, decode, decode_prefix, encode_dict};
use proptest::prelude::*;

fn problem(bytes: &[u8]) -> Problem {
    decode(bytes).unwrap_err().problem
}

#[test]
fn values_are_read_and_remember_their_bytes() {
    let bytes = b"d3:cow3:moo4:infod6:lengthi42e4:name1:ae4:spaml1:ai-3eee";
    let dict = decode(bytes).unwrap().as_dict().unwrap();
    assert_eq!(dict.get_str("cow"), Some("moo"));
    assert_eq!(dict.get("info").unwrap().raw(), b"d6:lengthi42e4:name1:ae");
    assert_eq!(dict.get_dict("info").unwrap().get_u64("length"), Some(42));
    let items: Vec<_> = dict.get_list("spam").unwrap().iter().map(|value| value.item()).collect();
    assert_eq!(items, [Item::Bytes(b"a"), Item::Integer(-3)]);
    assert_eq!(dict.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&b"cow"[..], b"info", b"spam"]);
    assert_eq!(dict.get("nothing"), None);
}

#[test]
fn a_dictionary_may_be_followed_by_raw_bytes() {
    let (value, rest) = decode_prefix(b"d8:msg_typei1e5:piecei0ee\x00\xffpayload").unwrap();
    assert_eq!(value.as_dict().unwrap().get_i64("msg_type"), Some(1));
    assert_eq!(rest, b"\x00\xffpayload");
    assert_eq!(problem(b"i1ei2e"), Problem::Trailing);
}

#[test]
fn numbers_have_one_form() {
    assert_eq!(decode(b"i9223372036854775807e").unwrap().as_i64(), Some(i64::MAX));
    assert_eq!(decode(b"i-9223372036854775808e").unwrap().as_i64(), Some(i64::MIN));
    assert_eq!(decode(b"i0e").unwrap().as_u64(), Some(0));
    assert_eq!(decode(b"i-1e").unwrap().as_u64(), None);
    for text in ["i-0e", "i00e", "i01e", "i-01e", "ie", "i-e", "i+1e", "i 1e", "i1.0e", "01:a", "i1x"] {
        assert_eq!(problem(text.as_bytes()), Problem::Number, "{text}");
    }
    for text in ["i9223372036854775808e", "i-9223372036854775809e", "i99999999999999999999999e"] {
        assert_eq!(problem(text.as_bytes()), Problem::Overflow, "{text}");
    }
}

#[test]
fn a_length_past_the_end_is_truncated_whatever_it_says() {
    for text in ["", "5:abc", "9223372036854775807:a", "i1", "i", "l", "d", "d1:a", "d1:ai1e", "li1e", "4"] {
        assert_eq!(problem(text.as_bytes()), Problem::Truncated, "{text}");
    }
    assert_eq!(problem(b"99999999999999999999999:a"), Problem::Overflow);
}

#[test]
fn what_begins_no_value_is_named_with_its_place() {
    let error = decode(b"li1ex").unwrap_err();
    assert_eq!((error.offset, error.problem), (4, Problem::Unexpected(b'x')));
    assert_eq!(error.to_string(), "bencode: at byte 4: byte 0x78 begins no value");
    assert_eq!(problem(b"e"), Problem::Unexpected(b'e'));
    assert_eq!(problem(b"di1ei2ee"), Problem::Key);
    assert_eq!(problem(b"d1:ae"), Problem::NoValue);
}

#[test]
fn keys_out_of_order_are_taken_unless_order_is_asked_for() {
    let unsorted = b"d1:bi1e1:ai2ee";
    assert_eq!(decode(unsorted).unwrap().as_dict().unwrap().get_i64("a"), Some(2));
    let strict = Decoder::new().sorted_keys();
    assert_eq!(strict.decode(unsorted).unwrap_err().problem, Problem::Unsorted);
    let twice = b"d1:ai1e1:ai2ee";
    assert_eq!(decode(twice).unwrap().as_dict().unwrap().get_i64("a"), Some(1));
    assert_eq!(strict.decode(twice).unwrap_err().problem, Problem::Duplicate);
}

#[test]
fn depth_and_size_are_limited() {
    let nested = |depth: usize| [b"l".repeat(depth), b"e".repeat(depth)].concat();
    assert!(decode(&nested(bencode::DEPTH_MAX)).is_ok());
    assert_eq!(problem(&nested(bencode::DEPTH_MAX + 1)), Problem::Depth(bencode::DEPTH_MAX));
    assert_eq!(problem(&b"l".repeat(1_000_000)), Problem::Depth(bencode::DEPTH_MAX));
    let small = Decoder::new().bytes_max(3);
    assert_eq!(small.decode(b"i10e").unwrap_err().problem, Problem::Size(3));
}

#[test]
fn written_dictionaries_are_sorted_and_have_each_key_once() {
    let bytes = encode_dict(|dict| {
        dict.bytes("z", "last");
        dict.dict("a", |inner| {
            inner.int("y", 1);
            inner.int("x", u64::MAX);
        });
        dict.raw("m", b"le");
        dict.int("a", 9);
    });
    assert_eq!(bytes, b"d1:ad1:xi18446744073709551615e1:yi1ee1:mle1:z4:laste");
}

/// An owned value to write and read back.
#[derive(Clone, Debug)]
enum Owned {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Owned>),
    Dict(Vec<(Vec<u8>, Owned)>),
}

impl Owned {
    fn write(&self) -> Vec<u8> {
        match self {
            Self::Integer(value) => {
                bencode::encode_list(|list| list.int(*value))[1..].split_last().unwrap().1.into()
            }
            Self::Bytes(bytes) => [format!("{}:", bytes.len()).as_bytes(), bytes].concat(),
            Self::List(items) => {
                bencode::encode_list(|list| items.iter().for_each(|item| list.raw(item.write())))
            }
            Self::Dict(entries) => {
                encode_dict(|dict| entries.iter().for_each(|(key, value)| dict.raw(key, value.write())))
            }
        }
    }

    fn same(&self, value: &Value<'_>) -> bool {
        match (self, value.item()) {
            (Self::Integer(ours), Item::Integer(theirs)) => *ours == theirs,
            (Self::Bytes(ours), Item::Bytes(theirs)) => ours == theirs,
            (Self::List(ours), Item::List(theirs)) => {
                ours.len() == theirs.iter().count() && ours.iter().zip(theirs).all(|(a, b)| a.same(&b))
            }
            (Self::Dict(ours), Item::Dict(theirs)) => {
                ours.iter().all(|(key, _)| {
                    let first = &ours.iter().find(|(other, _)| other == key).unwrap().1;
                    first.same(&theirs.get(key).unwrap())
                }) && theirs.iter().all(|(key, _)| ours.iter().any(|(other, _)| other == key))
            }
            _ => false,
        }
    }
}

fn owned() -> impl Strategy<Value = Owned> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Owned::Integer),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Owned::Bytes)
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Owned::List),
            prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4), inner), 0..6)
                .prop_map(Owned::Dict)
        ]
    })
}

/// Visits everything in a value; how many bytes its parts have.
fn visit(value: &Value<'_>) -> usize {
    match value.item() {
        Item::Integer(_) => value.raw().len(),
        Item::Bytes(bytes) => {
            assert!(value.raw().ends_with(bytes));
            value.raw().len()
        }
        Item::List(list) => 2 + list.iter().map(|item| visit(&item)).sum::<usize>(),
        Item::Dict(dict) => {
            2 + dict
                .iter()
                .map(|(key, value)| format!("{}:", key.len()).len() + key.len() + visit(&value))
                .sum::<usize>()
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in owned()) {
        let bytes = value.write();
        let read = Decoder::new().sorted_keys().decode(&bytes).unwrap();
        prop_assert!(value.same(&read), "{value:?} became {read:?}");
        prop_assert_eq!(read.raw(), &bytes[..]);
    }

    #[test]
    fn whatever_is_read_is_covered_by_its_parts(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(), Just(b'l'), Just(b'd'), Just(b'e'), Just(b'i'), Just(b'1'), Just(b':'), Just(b'0')
    ], 0..200)) {
        if let Ok((value, rest)) = decode_prefix(&bytes) {
            prop_assert_eq!(value.raw().len() + rest.len(), bytes.len());
            prop_assert_eq!(visit(&value), value.raw().len());
        }
    }

    #[test]
    fn damage_never_panics_and_cut_input_is_refused(value in owned(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = value.write();
        let at = at.index(bytes.len());
        prop_assert!(decode(&bytes[..at]).is_err());
        bytes[at] = byte;
        if let Ok(value) = decode(&bytes) {
            visit(&value);
        }
    }
}
