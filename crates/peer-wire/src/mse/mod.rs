//! Message stream encryption (MSE/PE): both ends agree on a secret by Diffie-Hellman, prove by it and the info-hash that they
//! mean the same torrent, and choose between RC4 and nothing for what follows.
//!
//! ```text
//! dialler                                                     listener
//! Ya, padding (0-512)                                      ->
//!                                                          <- Yb, padding (0-512)
//! HASH('req1', S), HASH('req2', info-hash) ^ HASH('req3', S),
//! RC4(VC, provide, len(PadC), PadC, len(IA)), RC4(IA)      ->
//!                                                          <- RC4(VC, select, len(PadD), PadD)
//! ```
//!
//! IA is the dialler's handshake. Where the padding ends is found by looking for what must follow it, within its limit.

mod cipher;
mod dh;

use bytes::{Buf, BufMut, BytesMut};
use metainfo::InfoHash;

pub(crate) use cipher::Cipher;
use cipher::hash;
use dh::{KEY_LENGTH, PrivateKey};

use seeded::Rng;

use crate::{Encryption, EncryptionPolicy, Handshake, ProtocolError};

/// No padding is longer.
const PADDING_MAX: u16 = 512;

/// The verification constant.
const VC: [u8; 8] = [0; 8];

const PLAIN: u32 = 1;
const RC4: u32 = 2;

/// How MSE names a torrent: HASH('req2', info-hash). For a table of ours to look
/// [`Event::Obfuscated`](crate::Event::Obfuscated) up in.
#[must_use]
pub fn obfuscated(info_hash: &InfoHash) -> [u8; 20] {
    hash(&[b"req2", info_hash.as_bytes()])
}

/// How far a step came.
#[derive(Debug)]
pub(crate) enum Step {
    /// So many bytes have to be in the buffer for the next.
    Wanted(usize),
    /// The dialler hides this torrent; go on with [`Listener::accept`].
    Torrent([u8; 20]),
    /// What follows in the buffer is the payload.
    Done(Streams),
}

/// How payload is read and written from here on.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Decrypts what comes, all of it or only as many bytes.
    pub(crate) read: Option<(Cipher, Option<usize>)>,
    /// Encrypts what goes.
    pub(crate) write: Option<Cipher>,
    pub(crate) encryption: Encryption,
}

/// The end that dialled.
#[derive(Debug)]
pub(crate) struct Dialler {
    private: PrivateKey,
    policy: EncryptionPolicy,
    ours: Handshake,
    stage: DiallerStage,
}

#[derive(Debug)]
enum DiallerStage {
    Key,
    Mark { read: Cipher, write: Cipher, mark: Mark<8> },
    Select { read: Cipher, write: Cipher },
    Padding { read: Cipher, write: Cipher, select: u32, left: u16 },
    Over,
}

impl Dialler {
    pub(crate) fn new(
        ours: Handshake,
        policy: EncryptionPolicy,
        random: &mut Rng,
        out: &mut BytesMut,
    ) -> Self {
        let private = PrivateKey::new(random);
        put_key(&private, random, out);
        Self { private, policy, ours, stage: DiallerStage::Key }
    }

    pub(crate) fn step(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<Step, ProtocolError> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, DiallerStage::Over) {
                DiallerStage::Key => {
                    let Some(theirs) = take(buf) else {
                        self.stage = DiallerStage::Key;
                        return Ok(Step::Wanted(KEY_LENGTH));
                    };
                    let secret = self.private.shared(&theirs).ok_or(ProtocolError::Encryption(BAD_KEY))?;
                    self.prove(&secret, out)
                }
                DiallerStage::Mark { read, write, mut mark } => {
                    if let Some(wanted) = mark.find(buf)? {
                        self.stage = DiallerStage::Mark { read, write, mark };
                        return Ok(Step::Wanted(wanted));
                    }
                    DiallerStage::Select { read, write }
                }
                DiallerStage::Select { mut read, write } => {
                    let Some(mut head) = take::<6>(buf) else {
                        self.stage = DiallerStage::Select { read, write };
                        return Ok(Step::Wanted(6));
                    };
                    read.apply(&mut head);
                    let mut head = &head[..];
                    let (select, left) = (head.get_u32(), head.get_u16());
                    check_padding(left)?;
                    DiallerStage::Padding { read, write, select, left }
                }
                DiallerStage::Padding { mut read, write, select, left } => {
                    if buf.len() < usize::from(left) {
                        self.stage = DiallerStage::Padding { read, write, select, left };
                        return Ok(Step::Wanted(usize::from(left)));
                    }
                    read.apply(&mut buf.split_to(usize::from(left)));
                    let streams = match select {
                        PLAIN if self.policy != EncryptionPolicy::Require => {
                            Streams { read: None, write: None, encryption: Encryption::Handshake }
                        }
                        RC4 => Streams {
                            read: Some((read, None)),
                            write: Some(write),
                            encryption: Encryption::Full,
                        },
                        _ => {
                            return Err(ProtocolError::Encryption("the peer chose what was not offered"));
                        }
                    };
                    return Ok(Step::Done(streams));
                }
                DiallerStage::Over => return Err(ProtocolError::Encryption(OVER)),
            }
        }
    }

    /// Step 3: that we know the secret and the torrent, what we offer, and the handshake.
    fn prove(&self, secret: &[u8], out: &mut BytesMut) -> DiallerStage {
        let info_hash = &self.ours.info_hash;
        let mut write = Cipher::from_dialler(secret, info_hash);
        let mut read = Cipher::from_listener(secret, info_hash);
        out.put_slice(&hash(&[b"req1", secret]));
        out.put_slice(&exclusive_or(obfuscated(info_hash), hash(&[b"req3", secret])));
        let start = out.len();
        out.put_slice(&VC);
        out.put_u32(if self.policy == EncryptionPolicy::Require { RC4 } else { PLAIN | RC4 });
        out.put_u16(0);
        let handshake = self.ours.to_bytes();
        out.put_u16(u16::try_from(handshake.len()).unwrap_or(0));
        out.put_slice(&handshake);
        write.apply(&mut out[start..]);
        let mut verification = VC;
        read.apply(&mut verification);
        DiallerStage::Mark { read, write, mark: Mark::new(verification) }
    }
}

/// The end that listened.
#[derive(Debug)]
pub(crate) struct Listener {
    policy: EncryptionPolicy,
    random: Rng,
    stage: ListenerStage,
}

#[derive(Debug)]
enum ListenerStage {
    Key,
    Mark {
        secret: [u8; KEY_LENGTH],
        mark: Mark<20>,
    },
    Torrent {
        secret: [u8; KEY_LENGTH],
    },
    /// Until `accept`.
    Asked {
        secret: [u8; KEY_LENGTH],
        torrent: [u8; 20],
    },
    Provide {
        read: Cipher,
        write: Cipher,
    },
    Padding {
        read: Cipher,
        write: Cipher,
        provide: u32,
        left: u16,
    },
    Over,
}

impl Listener {
    pub(crate) fn new(policy: EncryptionPolicy, random: Rng) -> Self {
        Self { policy, random, stage: ListenerStage::Key }
    }

    /// Goes on with the torrent that was asked for. Another is noticed by its hash.
    pub(crate) fn accept(&mut self, info_hash: &InfoHash) {
        if let ListenerStage::Asked { secret, torrent } = &self.stage
            && *torrent == obfuscated(info_hash)
        {
            self.stage = ListenerStage::Provide {
                read: Cipher::from_dialler(secret, info_hash),
                write: Cipher::from_listener(secret, info_hash),
            };
        } else {
            self.stage = ListenerStage::Over;
        }
    }

    pub(crate) fn step(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<Step, ProtocolError> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, ListenerStage::Over) {
                ListenerStage::Key => {
                    let Some(theirs) = take(buf) else {
                        self.stage = ListenerStage::Key;
                        return Ok(Step::Wanted(KEY_LENGTH));
                    };
                    let private = PrivateKey::new(&mut self.random);
                    let secret = private.shared(&theirs).ok_or(ProtocolError::Encryption(BAD_KEY))?;
                    put_key(&private, &mut self.random, out);
                    ListenerStage::Mark { secret, mark: Mark::new(hash(&[b"req1", &secret])) }
                }
                ListenerStage::Mark { secret, mut mark } => {
                    if let Some(wanted) = mark.find(buf)? {
                        self.stage = ListenerStage::Mark { secret, mark };
                        return Ok(Step::Wanted(wanted));
                    }
                    ListenerStage::Torrent { secret }
                }
                ListenerStage::Torrent { secret } => {
                    let Some(hidden) = take(buf) else {
                        self.stage = ListenerStage::Torrent { secret };
                        return Ok(Step::Wanted(20));
                    };
                    let torrent = exclusive_or(hidden, hash(&[b"req3", &secret]));
                    self.stage = ListenerStage::Asked { secret, torrent };
                    return Ok(Step::Torrent(torrent));
                }
                asked @ ListenerStage::Asked { .. } => {
                    self.stage = asked;
                    return Ok(Step::Wanted(buf.len() + 1));
                }
                ListenerStage::Provide { mut read, write } => {
                    let Some(mut head) = take::<14>(buf) else {
                        self.stage = ListenerStage::Provide { read, write };
                        return Ok(Step::Wanted(14));
                    };
                    read.apply(&mut head);
                    let Some(mut rest) = head.strip_prefix(&VC) else {
                        return Err(ProtocolError::Encryption("the keys do not match"));
                    };
                    let (provide, left) = (rest.get_u32(), rest.get_u16());
                    check_padding(left)?;
                    ListenerStage::Padding { read, write, provide, left }
                }
                ListenerStage::Padding { mut read, write, provide, left } => {
                    // The length of the initial payload follows.
                    let wanted = usize::from(left) + 2;
                    if buf.len() < wanted {
                        self.stage = ListenerStage::Padding { read, write, provide, left };
                        return Ok(Step::Wanted(wanted));
                    }
                    let mut head = buf.split_to(wanted);
                    read.apply(&mut head);
                    head.advance(usize::from(left));
                    return self.choose(provide, usize::from(head.get_u16()), read, write, out);
                }
                ListenerStage::Over => return Err(ProtocolError::Encryption(OVER)),
            }
        }
    }

    /// Step 4: plaintext where both allow it, for RC4 costs both ends processor time.
    fn choose(
        &self,
        provide: u32,
        initial: usize,
        read: Cipher,
        mut write: Cipher,
        out: &mut BytesMut,
    ) -> Result<Step, ProtocolError> {
        let select = if provide & PLAIN != 0 && self.policy != EncryptionPolicy::Require {
            PLAIN
        } else if provide & RC4 != 0 {
            RC4
        } else {
            return Err(ProtocolError::Encryption("the peer offers nothing that is allowed here"));
        };
        let start = out.len();
        out.put_slice(&VC);
        out.put_u32(select);
        out.put_u16(0);
        write.apply(&mut out[start..]);
        Ok(Step::Done(if select == RC4 {
            Streams { read: Some((read, None)), write: Some(write), encryption: Encryption::Full }
        } else {
            Streams { read: Some((read, Some(initial))), write: None, encryption: Encryption::Handshake }
        }))
    }
}

const BAD_KEY: &str = "the peer's public key is none";
const OVER: &str = "the handshake is over";

fn check_padding(length: u16) -> Result<(), ProtocolError> {
    if length > PADDING_MAX {
        return Err(ProtocolError::Encryption("padding of more than 512 bytes"));
    }
    Ok(())
}

fn put_key(private: &PrivateKey, random: &mut Rng, out: &mut BytesMut) {
    out.put_slice(&private.public());
    let start = out.len();
    out.put_bytes(0, random.below(usize::from(PADDING_MAX) + 1));
    random.fill(&mut out[start..]);
}

fn exclusive_or(mut a: [u8; 20], b: [u8; 20]) -> [u8; 20] {
    for (a, b) in a.iter_mut().zip(b) {
        *a ^= b;
    }
    a
}

/// The first `N` bytes, when they are there.
fn take<const N: usize>(buf: &mut BytesMut) -> Option<[u8; N]> {
    let bytes = *buf.first_chunk()?;
    buf.advance(N);
    Some(bytes)
}

/// What must follow padding of unknown length.
#[derive(Debug)]
struct Mark<const N: usize> {
    bytes: [u8; N],
    /// No mark begins before this place of the buffer.
    scanned: usize,
}

impl<const N: usize> Mark<N> {
    fn new(bytes: [u8; N]) -> Self {
        Self { bytes, scanned: 0 }
    }

    /// Drops padding and mark from the buffer; or how many bytes have to be there to look again.
    fn find(&mut self, buf: &mut BytesMut) -> Result<Option<usize>, ProtocolError> {
        let window = buf.len().min(usize::from(PADDING_MAX) + N);
        let rest = buf.get(self.scanned..window).unwrap_or_default();
        if let Some(at) = rest.windows(N).position(|bytes| bytes == self.bytes) {
            buf.advance(self.scanned + at + N);
            return Ok(None);
        }
        self.scanned = (window + 1).saturating_sub(N);
        if self.scanned > usize::from(PADDING_MAX) {
            return Err(ProtocolError::Encryption("nothing follows 512 bytes of padding"));
        }
        Ok(Some(self.scanned + N))
    }
}
