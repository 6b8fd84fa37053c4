//! Checked spans as values: lists and dictionaries are walked, not copied.

use crate::check::{integer, skip, string};

/// One checked value and the bytes it was read from. Small; copied freely.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a [u8],
    item: Item<'a>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer of 64 bits, signed.
    Integer(i64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A list.
    List(List<'a>),
    /// A dictionary.
    Dict(Dict<'a>),
}

/// A list: its items are read as it is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<'a> {
    /// From the first item to the closing `e`, which is not in it.
    body: &'a [u8],
}

/// A dictionary: its entries are read as it is walked or asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dict<'a> {
    /// From the first key to the closing `e`, which is not in it.
    body: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value that is all of `raw`, which has been checked.
    pub(crate) fn checked(raw: &'a [u8]) -> Self {
        let body = || raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        let item = match raw.first() {
            Some(b'i') => Item::Integer(integer(raw, 0).map_or(0, |(value, _)| value)),
            Some(b'l') => Item::List(List { body: body() }),
            Some(b'd') => Item::Dict(Dict { body: body() }),
            _ => Item::Bytes(string(raw, 0).map_or(&[], |(bytes, _)| bytes)),
        };
        Self { raw, item }
    }

    /// The bytes this value was read from, prefix and end included.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// What it is.
    #[must_use]
    pub fn item(&self) -> Item<'a> {
        self.item
    }

    /// As an integer.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.item {
            Item::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// As an integer that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|value| u64::try_from(value).ok())
    }

    /// As a byte string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.item {
            Item::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// As a byte string that is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// As a list.
    #[must_use]
    pub fn as_list(&self) -> Option<List<'a>> {
        match self.item {
            Item::List(list) => Some(list),
            _ => None,
        }
    }

    /// As a dictionary.
    #[must_use]
    pub fn as_dict(&self) -> Option<Dict<'a>> {
        match self.item {
            Item::Dict(dict) => Some(dict),
            _ => None,
        }
    }
}

impl<'a> List<'a> {
    /// The items, in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a> {
        ListIter { rest: self.body }
    }
}

impl<'a> Dict<'a> {
    /// The entries, as they stand.
    #[must_use]
    pub fn iter(&self) -> DictIter<'a> {
        DictIter { rest: self.body }
    }

    /// The value of `key`, the first where there are several; walks the entries before it.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value<'a>> {
        let key = key.as_ref();
        let mut rest = self.body;
        loop {
            let (found, start) = string(rest, 0).ok()?;
            let end = skip(rest, start);
            if found == key {
                return Some(Value::checked(rest.get(start..end)?));
            }
            rest = rest.get(end..)?;
        }
    }

    /// The integer of `key`.
    #[must_use]
    pub fn get_i64(&self, key: impl AsRef<[u8]>) -> Option<i64> {
        self.get(key)?.as_i64()
    }

    /// The integer of `key` that is not negative.
    #[must_use]
    pub fn get_u64(&self, key: impl AsRef<[u8]>) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The byte string of `key`.
    #[must_use]
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        self.get(key)?.as_bytes()
    }

    /// The byte string of `key` that is UTF-8.
    #[must_use]
    pub fn get_str(&self, key: impl AsRef<[u8]>) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    /// The list of `key`.
    #[must_use]
    pub fn get_list(&self, key: impl AsRef<[u8]>) -> Option<List<'a>> {
        self.get(key)?.as_list()
    }

    /// The dictionary of `key`.
    #[must_use]
    pub fn get_dict(&self, key: impl AsRef<[u8]>) -> Option<Dict<'a>> {
        self.get(key)?.as_dict()
    }
}

/// The items of a [`List`].
#[derive(Clone, Debug)]
pub struct ListIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (raw, rest) = self.rest.split_at_checked(skip(self.rest, 0))?;
        self.rest = rest;
        Some(Value::checked(raw))
    }
}

/// The entries of a [`Dict`].
#[derive(Clone, Debug)]
pub struct DictIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for DictIter<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let (key, start) = string(self.rest, 0).ok()?;
        let end = skip(self.rest, start);
        let value = Value::checked(self.rest.get(start..end)?);
        self.rest = self.rest.get(end..)?;
        Some((key, value))
    }
}

impl<'a> IntoIterator for List<'a> {
    type Item = Value<'a>;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for Dict<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = DictIter<'a>;

    fn into_iter(self) -> DictIter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.item {
            Item::Integer(value) => value.fmt(f),
            Item::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Item::List(list) => list.fmt(f),
            Item::Dict(dict) => dict.fmt(f),
        }
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl std::fmt::Debug for Dict<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(key, value)| (key.escape_ascii().to_string(), value)))
            .finish()
    }
}
