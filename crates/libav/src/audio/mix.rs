//! Which speaker a channel is for, and what becomes of it where there are fewer.

/// Front left and right, centre, low frequencies, back left and right: bits of a [`Channels`].
const FL: u32 = 0;
const FR: u32 = 1;
const FC: u32 = 2;
const LFE: u32 = 3;
const BL: u32 = 4;
const BR: u32 = 5;
const FLC: u32 = 6;
const FRC: u32 = 7;
const BC: u32 = 8;
const SL: u32 = 9;
const SR: u32 = 10;
const TFL: u32 = 12;
const TFR: u32 = 14;

/// -3 dB: half the power.
const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// From here to full scale peaks are bent instead of cut: -1 dB.
const KNEE: f32 = 0.891_25;

/// Which channels there are, in this order: bit 0 is front left, then front right, centre, low frequencies, back left,
/// back right, left and right of centre, back centre, side left, side right: the masks of WAVE and of FFmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channels(pub u64);

impl Channels {
    /// The most channels that are taken.
    pub const COUNT_MAX: u16 = 16;

    /// The common layout of `count` channels: mono, stereo, 2.1, 4.0 … as FFmpeg has it; 5.1 and 7.1 for 6 and 8.
    pub fn common(count: u16) -> Self {
        Self(match count {
            0 => 0,
            1 => 1 << FC,
            2 => 0b11,
            3 => 0b1011,
            4 => 0b1_0000_0111,
            5 => 0b11_0111,
            6 => 0b11_1111,
            7 => 0b111_0000_1111 | 1 << BC,
            8 => 0b110_0011_1111,
            _ => (1 << u64::from(count.min(Self::COUNT_MAX))) - 1,
        })
    }

    /// How many there are.
    pub fn count(self) -> u16 {
        u16::try_from(self.0.count_ones()).unwrap_or(64)
    }

    fn speakers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |bit| self.0 >> bit & 1 == 1)
    }
}

/// How much of each input channel each output channel gets: `rows[output][input]`.
pub(super) struct Mix {
    rows: Vec<Vec<f32>>,
    inputs: usize,
}

impl Mix {
    const MONO: Channels = Channels(1 << FC);

    /// From `from` to the common layout of `to` channels; `None` where nothing changes.
    ///
    /// To stereo as ITU-R BS.775 says: centre and surrounds at -3 dB to either side, low frequencies dropped. There is no
    /// gain for the sum, which would make dialogue 8 dB softer; peaks beyond -1 dB of full scale are bent. Mono
    /// is heard from both sides as it is.
    pub(super) fn new(from: Channels, to: u16) -> Option<Self> {
        let target = Channels::common(to);
        if from == target || (from.count() == to && to > 8) {
            return None;
        }
        let inputs: Vec<u32> = from.speakers().collect();
        let surrounds =
            [1u64 << BL | 1 << BR, 1 << SL | 1 << SR].iter().filter(|m| from.0 & **m != 0).count();
        if from == Self::MONO && to >= 2 {
            let heard = |speaker: u32| if matches!(speaker, FL | FR) { 1.0 } else { 0.0 };
            return Some(Self { rows: target.speakers().map(|s| vec![heard(s)]).collect(), inputs: 1 });
        }
        let rows = target
            .speakers()
            .map(|output| inputs.iter().map(|input| gain(*input, output, target, surrounds)).collect());
        let rows: Vec<Vec<f32>> = rows.collect();
        // Layouts that have nothing in common with ours: channel for channel.
        if rows.iter().flatten().all(|g| *g == 0.0) {
            let rows =
                (0..rows.len()).map(|o| (0..inputs.len()).map(|i| f32::from(u8::from(i == o))).collect());
            return Some(Self { rows: rows.collect(), inputs: inputs.len() });
        }
        Some(Self { rows, inputs: inputs.len() })
    }

    /// Mixes interleaved samples.
    pub(super) fn apply(&self, samples: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(samples.len() / self.inputs.max(1) * self.rows.len());
        for frame in samples.chunks_exact(self.inputs.max(1)) {
            for row in &self.rows {
                out.push(bend(row.iter().zip(frame).map(|(gain, sample)| gain * sample).sum()));
            }
        }
        out
    }
}

/// Peaks above the knee go towards full scale and never reach it; what is below stays as it is. It knows no before and
/// after, so a stretch sounds the same wherever its encoding began.
fn bend(sample: f32) -> f32 {
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    let room = 1.0 - KNEE;
    (KNEE + room * (over / (over + room))).copysign(sample)
}

/// How much of `input` goes to `output` of the layout `target`.
fn gain(input: u32, output: u32, target: Channels, surrounds: usize) -> f32 {
    if target.0 == 1 << FC {
        // Mono is half of either side of what stereo would be.
        let stereo = Channels::common(2);
        return (gain(input, FL, stereo, surrounds) + gain(input, FR, stereo, surrounds)) * 0.5;
    }
    let has = |speaker: u32| target.0 >> speaker & 1 == 1;
    let left = |speaker: u32| matches!(speaker, FL | BL | FLC | SL | TFL);
    let right = |speaker: u32| matches!(speaker, FR | BR | FRC | SR | TFR);
    let same_side = |speaker: u32| left(input) && left(speaker) || right(input) && right(speaker);
    let front = matches!(output, FL | FR);
    match input {
        // Two pairs of surrounds share the one that is left.
        BL | BR | SL | SR if matches!(output, BL | BR | SL | SR) && same_side(output) => {
            let both = has(BL) && has(SL);
            match (both, surrounds) {
                (true, _) => f32::from(u8::from(input == output)),
                (false, 2) => HALF,
                (false, _) => 1.0,
            }
        }
        _ if input == output => 1.0,
        LFE => 0.0,
        FC if front && !has(FC) => HALF,
        BL | BR | SL | SR if front && same_side(output) && !has(BL) && !has(SL) => HALF,
        BC if has(BC) => 0.0,
        BC if matches!(output, BL | BR) => HALF,
        BC if front && !has(BL) => 0.5,
        FLC | FRC if front && same_side(output) && !has(FLC) => 1.0,
        TFL | TFR if front && same_side(output) => HALF,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: u64, to: u16, output: usize) -> Vec<f32> {
        Mix::new(Channels(from), to).unwrap().rows.swap_remove(output)
    }

    #[test]
    fn surround_to_stereo_keeps_dialogue_and_drops_the_subwoofer() {
        assert_eq!(row(0b11_1111, 2, 0), [1.0, 0.0, HALF, 0.0, HALF, 0.0]);
        assert_eq!(row(0b11_1111, 2, 1), [0.0, 1.0, HALF, 0.0, 0.0, HALF]);
        assert_eq!(row(0b110_0011_1111, 2, 0), [1.0, 0.0, HALF, 0.0, HALF, 0.0, HALF, 0.0]);
    }

    #[test]
    fn mono_goes_to_both_sides_and_stereo_to_the_middle() {
        assert_eq!((row(4, 2, 0), row(4, 2, 1)), (vec![1.0], vec![1.0]));
        assert_eq!(row(3, 1, 0), [0.5, 0.5]);
    }

    #[test]
    fn side_and_back_surrounds_are_the_same_where_there_is_one_pair() {
        assert_eq!(row(0b110_0000_1111, 6, 4), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(row(0b110_0011_1111, 6, 4), [0.0, 0.0, 0.0, 0.0, HALF, 0.0, HALF, 0.0]);
    }

    #[test]
    fn nothing_is_mixed_where_nothing_changes() {
        assert!(Mix::new(Channels(3), 2).is_none() && Mix::new(Channels(0b11_1111), 6).is_none());
    }

    #[test]
    fn peaks_are_bent_and_the_rest_stays() {
        assert_eq!((bend(0.5), bend(-0.8)), (0.5, -0.8));
        assert!(bend(1.5) < 1.0 && bend(1.5) > 0.95 && bend(-9.0) > -1.0 && bend(0.9) < 0.9);
    }
}
