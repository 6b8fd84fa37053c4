//! Writing bencode. Keys may be given in any order: a dictionary is sorted when it is closed, so what comes out is canonical.

use std::ops::Range;

/// A dictionary as bytes.
///
/// ```
/// let bytes = bencode::encode_dict(|dict| {
///     dict.int("msg_type", 0);
///     dict.list("list", |list| list.bytes("a"));
/// });
/// assert_eq!(bytes, b"d4:listl1:ae8:msg_typei0ee");
/// ```
#[must_use]
pub fn encode_dict(fill: impl FnOnce(&mut DictWriter<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_dict(&mut out, fill);
    out
}

/// A list as bytes.
#[must_use]
pub fn encode_list(fill: impl FnOnce(&mut ListWriter<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_list(&mut out, fill);
    out
}

/// Takes the entries of a dictionary. The first value of a key stays; later ones are dropped.
#[derive(Debug)]
pub struct DictWriter<'a> {
    out: &'a mut Vec<u8>,
    entries: Vec<Entry>,
}

/// Where an entry, and the key within it, lie in what was written.
#[derive(Clone, Debug)]
struct Entry {
    key: Range<usize>,
    all: Range<usize>,
}

/// Takes the items of a list.
#[derive(Debug)]
pub struct ListWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl DictWriter<'_> {
    fn entry(&mut self, key: impl AsRef<[u8]>, value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        let key = key.as_ref();
        write_bytes(self.out, key);
        let key = self.out.len() - key.len()..self.out.len();
        value(self.out);
        self.entries.push(Entry { key, all: start..self.out.len() });
    }

    /// An integer.
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: impl Into<i128>) {
        let value = value.into();
        self.entry(key, |out| write_int(out, value));
    }

    /// A byte string.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.entry(key, |out| write_bytes(out, value.as_ref()));
    }

    /// A value that is bencode already.
    pub fn raw(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.entry(key, |out| out.extend_from_slice(value.as_ref()));
    }

    /// A list.
    pub fn list(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut ListWriter<'_>)) {
        self.entry(key, |out| write_list(out, fill));
    }

    /// A dictionary.
    pub fn dict(&mut self, key: impl AsRef<[u8]>, fill: impl FnOnce(&mut DictWriter<'_>)) {
        self.entry(key, |out| write_dict(out, fill));
    }
}

impl ListWriter<'_> {
    /// An integer.
    pub fn int(&mut self, value: impl Into<i128>) {
        write_int(self.out, value.into());
    }

    /// A byte string.
    pub fn bytes(&mut self, value: impl AsRef<[u8]>) {
        write_bytes(self.out, value.as_ref());
    }

    /// A value that is bencode already.
    pub fn raw(&mut self, value: impl AsRef<[u8]>) {
        self.out.extend_from_slice(value.as_ref());
    }

    /// A list.
    pub fn list(&mut self, fill: impl FnOnce(&mut ListWriter<'_>)) {
        write_list(self.out, fill);
    }

    /// A dictionary.
    pub fn dict(&mut self, fill: impl FnOnce(&mut DictWriter<'_>)) {
        write_dict(self.out, fill);
    }
}

fn write_int(out: &mut Vec<u8>, value: i128) {
    out.extend_from_slice(format!("i{value}e").as_bytes());
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

fn write_list(out: &mut Vec<u8>, fill: impl FnOnce(&mut ListWriter<'_>)) {
    out.push(b'l');
    fill(&mut ListWriter { out });
    out.push(b'e');
}

fn write_dict(out: &mut Vec<u8>, fill: impl FnOnce(&mut DictWriter<'_>)) {
    out.push(b'd');
    let start = out.len();
    let mut writer = DictWriter { out, entries: Vec::new() };
    fill(&mut writer);
    let mut entries = writer.entries;
    if !entries.is_sorted_by(|a, b| out[a.key.clone()] < out[b.key.clone()]) {
        entries.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()]));
        entries.dedup_by(|later, earlier| out[later.key.clone()] == out[earlier.key.clone()]);
        let sorted: Vec<u8> = entries.iter().flat_map(|entry| &out[entry.all.clone()]).copied().collect();
        out.truncate(start);
        out.extend_from_slice(&sorted);
    }
    out.push(b'e');
}
