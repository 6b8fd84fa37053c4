//! Samples of one rate and layout to samples of another, on a grid that does not depend on where one began.

use super::{
    decoder::AudioBlock,
    mix::{Channels, Mix},
    samples,
};
use crate::{error::Error, graph::Graph, sys};

/// What a converter makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioConverterSettings {
    /// Samples a second of what comes out.
    pub sample_rate: u32,
    /// Channels of what comes out, 1 to 8, in their [common layout](Channels::common).
    pub channels: u16,
}

/// Samples that came out of a converter.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertedBlock {
    /// Which sample the first one is, counted at the rate of the output from the track's time 0.
    pub start: i64,
    /// Samples, interleaved, full scale at 1.
    pub samples: Vec<f32>,
}

/// Mixes and resamples. Sample `n` of the output is the sound at `n / sample_rate` seconds exactly, whichever block was the
/// first: where rates differ, it begins at the first input sample that falls on an output sample (every 147th from 44,100
/// to 48,000), so stretches that were converted apart join without a jump. The resampler needs 64 samples to settle.
pub struct AudioConverter {
    settings: AudioConverterSettings,
    run: Option<Run>,
    ready: Vec<ConvertedBlock>,
    finished: bool,
}

/// What is set up for one rate and layout of the input.
struct Run {
    sample_rate: u32,
    from: Channels,
    mix: Option<Mix>,
    resampler: Option<Graph>,
    /// Where the next input sample is, at the rate of the input.
    next_in: i64,
    /// Input samples until the first that falls on an output sample.
    skip: usize,
    /// Where the next output sample is.
    next_out: i64,
}

impl AudioConverter {
    const STAGE: &'static str = "audio converter";

    /// Makes a converter.
    ///
    /// # Errors
    /// [`Error::Setting`] for rates and channel counts that cannot be.
    pub fn new(settings: &AudioConverterSettings) -> Result<Self, Error> {
        if !(1..=8).contains(&settings.channels) || !(1000..=768_000).contains(&settings.sample_rate) {
            return Err(Error::Setting { what: "output sound", value: format!("{settings:?}") });
        }
        Ok(Self { settings: *settings, run: None, ready: Vec::new(), finished: false })
    }

    /// Takes samples of which the first is number `start` of the track, counted at the block's own rate from the track's time 0.
    /// A block of another rate or layout ends what came before and begins anew.
    ///
    /// # Errors
    /// [`Error::Order`] where it does not begin where the last one ended: whoever calls fills gaps with silence.
    pub fn send(&mut self, start: i64, block: &AudioBlock) -> Result<(), Error> {
        if self.finished {
            return Err(order("nothing comes after the end"));
        }
        if start.unsigned_abs() > 1 << 52 {
            return Err(Error::Limit { what: "sample number", value: start.unsigned_abs(), limit: 1 << 52 });
        }
        let fits = |run: &Run| run.sample_rate == block.sample_rate && run.from == block.channels;
        if !self.run.as_ref().is_some_and(fits) {
            self.flush()?;
            self.run = Some(Run::new(&self.settings, block, start)?);
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        if run.next_in != start {
            return Err(order("a block that does not begin where the last one ended"));
        }
        let width = usize::from(block.channels.count().max(1));
        run.next_in += i64::try_from(block.frames()).unwrap_or(0);
        let skipped = run.skip.min(block.frames());
        run.skip -= skipped;
        let samples = &block.samples[skipped * width..];
        if samples.is_empty() {
            return Ok(());
        }
        let mixed = match &run.mix {
            Some(mix) => mix.apply(samples),
            None => samples.to_vec(),
        };
        let Some(resampler) = &mut run.resampler else {
            let length = i64::try_from(mixed.len() / usize::from(self.settings.channels)).unwrap_or(0);
            self.ready.push(ConvertedBlock { start: run.next_out, samples: mixed });
            run.next_out += length;
            return Ok(());
        };
        let f = sys::functions()?;
        let (channels, rate) = (self.settings.channels, run.sample_rate);
        resampler.send(&samples::frame(f, &mixed, channels, rate, sys::AV_SAMPLE_FMT_FLT)?)?;
        self.collect()
    }

    /// Says that no block follows: what the resampler holds back can be received.
    ///
    /// # Errors
    /// [`Error::Failed`] where the resampler fails.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.finished = true;
        self.flush()
    }

    /// The next samples; `None` until another block is sent, and at the end.
    pub fn receive(&mut self) -> Option<ConvertedBlock> {
        if self.ready.is_empty() { None } else { Some(self.ready.remove(0)) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if let Some(resampler) = self.run.as_mut().and_then(|run| run.resampler.as_mut()) {
            resampler.finish()?;
            self.collect()?;
        }
        self.run = None;
        Ok(())
    }

    /// Takes what the resampler has.
    fn collect(&mut self) -> Result<(), Error> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let Some(resampler) = &mut run.resampler else { return Ok(()) };
        while let Some(frame) = resampler.receive()? {
            let (_, samples) = samples::interleaved(&frame)?;
            let length = i64::try_from(samples.len() / usize::from(self.settings.channels)).unwrap_or(0);
            self.ready.push(ConvertedBlock { start: run.next_out, samples });
            run.next_out += length;
        }
        Ok(())
    }
}

fn order(why: &'static str) -> Error {
    Error::Order { stage: AudioConverter::STAGE.into(), why }
}

impl Run {
    fn new(settings: &AudioConverterSettings, block: &AudioBlock, start: i64) -> Result<Self, Error> {
        let (from, to) = (block.sample_rate, settings.sample_rate);
        let common = i64::from(gcd(from, to));
        // Every `step` input samples one falls on an output sample.
        let step = i64::from(from) / common;
        let skip = (-start).rem_euclid(step);
        let next_out = (start + skip) / step * (i64::from(to) / common);
        let resampler = if from == to { None } else { Some(Self::resampler(settings, from)?) };
        Ok(Self {
            sample_rate: from,
            from: block.channels,
            mix: Mix::new(block.channels, settings.channels),
            resampler,
            next_in: start,
            skip: usize::try_from(skip).unwrap_or(0),
            next_out,
        })
    }

    fn resampler(settings: &AudioConverterSettings, from: u32) -> Result<Graph, Error> {
        let AudioConverterSettings { sample_rate: to, channels } = settings;
        let name = match channels {
            1 => "mono",
            2 => "stereo",
            3 => "2.1",
            4 => "4.0",
            5 => "5.0",
            6 => "5.1",
            7 => "6.1",
            _ => "7.1",
        };
        let source = format!("sample_rate={from}:sample_fmt=flt:channel_layout={name}:time_base=1/{from}");
        let chain = format!(
            "aresample={to}:filter_size=32:phase_shift=10,aformat=sample_fmts=flt:channel_layouts={name}"
        );
        Graph::build(AudioConverter::STAGE, ["abuffer", "abuffersink"], &source, &chain, 1)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
