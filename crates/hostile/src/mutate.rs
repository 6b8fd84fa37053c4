//! Seeded damage: the same seed and number give the same file, so that a failure is named by two numbers.

use seeded::Rng;

/// Element identifiers and box types around which damage tells most.
const LANDMARKS: &[&[u8]] = &[
    b"moov",
    b"trak",
    b"stbl",
    b"stsd",
    b"stsz",
    b"stsc",
    b"stco",
    b"co64",
    b"stts",
    b"ctts",
    b"stss",
    b"elst",
    b"moof",
    b"traf",
    b"tfhd",
    b"tfdt",
    b"trun",
    b"sidx",
    b"mdat",
    b"avcC",
    b"hvcC",
    b"av1C",
    b"esds",
    b"dOps",
    b"dfLa",
    b"mvex",
    b"sbgp",
    b":info",
    b"6:length",
    b"4:path",
    b"4:attr",
    b":piece",
    b":pieces",
    b"5:files",
    b":announce",
    b"7:private",
    b"&xt=",
    b"&so=",
    b"&x.pe=",
    &[0x18, 0x53, 0x80, 0x67],
    &[0x11, 0x4d, 0x9b, 0x74],
    &[0x16, 0x54, 0xae, 0x6b],
    &[0x1f, 0x43, 0xb6, 0x75],
    &[0x1c, 0x53, 0xbb, 0x6b],
    &[0x1a, 0x45, 0xdf, 0xa3],
    &[0x63, 0xa2],
    &[0x23, 0xe3, 0x83],
    &[0x6d, 0x80],
    &[0x15, 0x49, 0xa9, 0x66],
];

/// Numbers that break arithmetic.
const EDGES: &[u32] = &[
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x0100_0000,
    0x01ff_ffff,
    0xfff0_0000,
];

/// Landmarks kept per file: more would only be more of the same.
const LANDMARKS_MAX: usize = 4_000;

/// Damages files by the numbers.
#[derive(Debug)]
pub struct Mutator {
    seed: u64,
}

impl Mutator {
    /// All damage from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Where in `file` damage tells most.
    #[must_use]
    pub fn landmarks(file: &[u8]) -> Vec<usize> {
        let mut found = vec![0];
        for at in 0..file.len() {
            if LANDMARKS.iter().any(|mark| file[at..].starts_with(mark)) {
                found.push(at);
            }
        }
        while found.len() > LANDMARKS_MAX {
            found = found.into_iter().step_by(2).collect();
        }
        found
    }

    /// Damage number `number` of `file`, whose [`landmarks`](Self::landmarks) are at `marks`.
    #[must_use]
    pub fn damage(&self, number: u64, file: &[u8], marks: &[usize]) -> Vec<u8> {
        let mut random = Rng::new(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut out = file.to_vec();
        for _ in 0..=random.below(6) {
            if out.is_empty() {
                break;
            }
            // Mostly within a few bytes of a landmark, where sizes, counts and versions are.
            let at = if random.below(8) > 0 && !marks.is_empty() {
                (random.pick(marks).saturating_sub(8) + random.below(48)).min(out.len() - 1)
            } else {
                random.below(out.len())
            };
            once(&mut out, at, &mut random);
        }
        out
    }
}

fn once(out: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let len = out.len();
    match random.below(10) {
        0 | 1 => out[at] ^= 1 << random.below(8),
        2 | 3 => out[at] = u8::try_from(random.below(256)).unwrap_or(0),
        4 | 5 => {
            let edge = random.pick(EDGES).to_be_bytes();
            for (place, byte) in out[at..].iter_mut().zip(edge) {
                *place = byte;
            }
        }
        6 => {
            let end = (at + 1 + random.below(64)).min(len);
            out.drain(at..end);
        }
        7 => {
            let end = (at + 1 + random.below(256)).min(len);
            let copy = out[at..end].to_vec();
            let to = random.below(len);
            out.splice(to..to, copy);
        }
        8 => {
            let (from, n) = (random.below(len), 1 + random.below(64));
            for i in 0..n {
                if from + i < len && at + i < len {
                    out[at + i] = out[from + i];
                }
            }
        }
        _ => {
            if random.below(4) == 0 {
                out.truncate(at);
            } else {
                let end = (at + 1 + random.below(32)).min(len);
                let fill = *random.pick(&[0x00, 0xff, 0x7f]);
                out[at..end].fill(fill);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_damage_and_others_other() {
        let file: Vec<u8> = (0..5_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let marks = Mutator::landmarks(&file);
        let damage = |seed, number| Mutator::new(seed).damage(number, &file, &marks);
        assert_eq!(damage(7, 3), damage(7, 3));
        assert_ne!(damage(7, 3), damage(7, 4));
        assert_ne!(damage(7, 3), damage(8, 3));
        assert!((0..200).filter(|n| damage(7, *n) != file).count() > 190);
    }

    #[test]
    fn landmarks_are_found() {
        assert_eq!(Mutator::landmarks(b"....moov..stsz"), [0, 4, 10]);
    }
}
