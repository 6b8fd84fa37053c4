//! Diffie-Hellman of MSE: a prime of 768 bits, the generator 2, private keys of 160 bits.

use std::fmt;

use crypto_bigint::{U192, U768, const_monty_params, modular::ConstMontyForm};

use seeded::Rng;

const_monty_params!(
    Prime,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
     020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
     4fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
    "The prime of MSE."
);

type Residue = ConstMontyForm<Prime, { U768::LIMBS }>;

/// Bytes of a public key and of the shared secret.
pub(super) const KEY_LENGTH: usize = 96;

const PRIVATE_BITS: u32 = 160;

/// A private key.
pub(super) struct PrivateKey(U192);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    pub(super) fn new(random: &mut Rng) -> Self {
        let mut bytes = [0; 24];
        random.fill(&mut bytes[4..]);
        Self(U192::from_be_slice(&bytes))
    }

    /// What the peer is told.
    pub(super) fn public(&self) -> [u8; KEY_LENGTH] {
        power(&U768::from_u8(2), &self.0)
    }

    /// What both ends know then; `None` for a public key that makes it the same for every private one.
    pub(super) fn shared(&self, theirs: &[u8; KEY_LENGTH]) -> Option<[u8; KEY_LENGTH]> {
        let theirs = U768::from_be_slice(theirs);
        let last = <Prime as crypto_bigint::modular::ConstMontyParams<{ U768::LIMBS }>>::PARAMS
            .modulus()
            .get()
            .wrapping_sub(&U768::ONE);
        (theirs > U768::ONE && theirs < last).then(|| power(&theirs, &self.0))
    }
}

fn power(base: &U768, exponent: &U192) -> [u8; KEY_LENGTH] {
    let result = Residue::new(base).pow_bounded_exp(exponent, PRIVATE_BITS).retrieve();
    let mut bytes = [0; KEY_LENGTH];
    bytes.copy_from_slice(result.to_be_bytes().as_ref());
    bytes
}
