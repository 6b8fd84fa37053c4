//! Writes MP4 files for tests: plain tables of given samples, in any of the forms that the format allows.

use bytes::Bytes;
use container::{ContainerError, Index, Movie, mp4, mp4::Mp4Index, pull::drive_memory};

/// A box.
pub(crate) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(body);
    bytes
}

/// A box with a 64-bit size.
pub(crate) fn boxed_64(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1];
    bytes.extend(kind);
    bytes.extend((body.len() as u64 + 16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A box with version and flags.
pub(crate) fn full(kind: &[u8; 4], version: u8, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut whole = (u32::from(version) << 24 | flags).to_be_bytes().to_vec();
    whole.extend(body);
    boxed(kind, &whole)
}

/// 32-bit numbers, big-endian.
pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

pub(crate) fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

#[derive(Clone, Debug)]
pub(crate) struct TestSample {
    pub(crate) size: u32,
    pub(crate) duration: u32,
    pub(crate) composition: i32,
    pub(crate) sync: bool,
    pub(crate) random_access: bool,
    pub(crate) description: u32,
}

impl Default for TestSample {
    fn default() -> Self {
        Self { size: 10, duration: 100, composition: 0, sync: true, random_access: false, description: 0 }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TestTrack {
    pub(crate) number: u32,
    pub(crate) handler: [u8; 4],
    pub(crate) timescale: u32,
    /// `stsd` entries.
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) samples: Vec<TestSample>,
    /// Samples of each chunk, repeated over all samples.
    pub(crate) per_chunk: Vec<usize>,
    /// (duration in movie ticks, media time or -1, rate)
    pub(crate) edits: Vec<(u64, i64, u32)>,
    pub(crate) edits_version: u8,
    pub(crate) co64: bool,
    /// 0 for `stsz`, else the field width of `stz2`.
    pub(crate) size_bits: u32,
    pub(crate) ctts_version: u8,
    /// Whether run-lengths are used where neighbours are equal.
    pub(crate) runs: bool,
    /// Packed, or a Macintosh code.
    pub(crate) language: u16,
    pub(crate) tkhd_flags: u32,
    pub(crate) alternate_group: u16,
    pub(crate) matrix: [i32; 9],
    /// Boxes of the `trak` beside the usual.
    pub(crate) more: Vec<u8>,
    /// Boxes of the `mdia` beside the usual.
    pub(crate) more_mdia: Vec<u8>,
}

pub(crate) const UPRIGHT: [i32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

impl TestTrack {
    pub(crate) fn video(samples: Vec<TestSample>) -> Self {
        Self {
            number: 1,
            handler: *b"vide",
            timescale: 1_000,
            entries: vec![video_entry(b"xvid", &[])],
            samples,
            per_chunk: vec![3, 1],
            edits: Vec::new(),
            edits_version: 0,
            co64: false,
            size_bits: 0,
            ctts_version: 0,
            runs: true,
            language: 0x55c4,
            tkhd_flags: 3,
            alternate_group: 0,
            matrix: UPRIGHT,
            more: Vec::new(),
            more_mdia: Vec::new(),
        }
    }

    pub(crate) fn audio(samples: Vec<TestSample>) -> Self {
        let entries = vec![audio_entry(b"xaud", 2, 16, 48_000, &[])];
        Self { number: 2, handler: *b"soun", entries, ..Self::video(samples) }
    }

    /// The offsets of its samples when its data begins at `data`; chunks lie one byte apart.
    pub(crate) fn offsets(&self, data: u64) -> Vec<u64> {
        let mut offset = data;
        let mut offsets = Vec::new();
        for chunk in self.chunks() {
            for sample in chunk {
                offsets.push(offset);
                offset += u64::from(sample.size);
            }
            offset += 1;
        }
        offsets
    }

    /// A chunk holds samples of one description.
    fn chunks(&self) -> Vec<&[TestSample]> {
        let mut chunks = Vec::new();
        let mut rest = &self.samples[..];
        let mut sizes = self.per_chunk.iter().cycle();
        while !rest.is_empty() {
            let same = rest.iter().take_while(|s| s.description == rest[0].description).count();
            let (chunk, after) = rest.split_at((*sizes.next().unwrap()).clamp(1, same));
            chunks.push(chunk);
            rest = after;
        }
        chunks
    }

    pub(crate) fn data_len(&self) -> u64 {
        self.chunks().iter().map(|c| c.iter().map(|s| u64::from(s.size)).sum::<u64>() + 1).sum()
    }

    fn run_lengths(&self, value: impl Fn(&TestSample) -> u32) -> Vec<u8> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for value in self.samples.iter().map(value) {
            match runs.last_mut() {
                Some((count, last)) if self.runs && *last == value => *count += 1,
                _ => runs.push((1, value)),
            }
        }
        let mut body = words(&[u32::try_from(runs.len()).unwrap()]);
        body.extend(runs.iter().flat_map(|(count, value)| words(&[*count, *value])));
        body
    }

    fn numbers(&self, wanted: impl Fn(&TestSample) -> bool) -> Vec<u8> {
        let numbers: Vec<u32> = (1..).zip(&self.samples).filter(|(_, s)| wanted(s)).map(|(n, _)| n).collect();
        let mut body = words(&[u32::try_from(numbers.len()).unwrap()]);
        body.extend(words(&numbers));
        body
    }

    fn sizes(&self) -> Vec<u8> {
        let count = u32::try_from(self.samples.len()).unwrap();
        let sizes: Vec<u32> = self.samples.iter().map(|s| s.size).collect();
        if self.size_bits == 0 {
            let first = sizes.first().copied().unwrap_or(0);
            if self.runs && first > 0 && sizes.iter().all(|s| *s == first) {
                return full(b"stsz", 0, 0, &words(&[first, count]));
            }
            return full(b"stsz", 0, 0, &joined(&[words(&[0, count]), words(&sizes)]));
        }
        let packed: Vec<u8> = match self.size_bits {
            4 => sizes
                .chunks(2)
                .map(|pair| u8::try_from(pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).unwrap())
                .collect(),
            8 => sizes.iter().map(|s| u8::try_from(*s).unwrap()).collect(),
            _ => sizes.iter().flat_map(|s| u16::try_from(*s).unwrap().to_be_bytes()).collect(),
        };
        full(b"stz2", 0, 0, &joined(&[words(&[self.size_bits, count]), packed]))
    }

    fn sample_table(&self, data: u64) -> Vec<u8> {
        let mut stsd = words(&[u32::try_from(self.entries.len()).unwrap()]);
        stsd.extend(self.entries.concat());
        let mut parts =
            vec![full(b"stsd", 0, 0, &stsd), full(b"stts", 0, 0, &self.run_lengths(|s| s.duration))];
        if self.samples.iter().any(|s| s.composition != 0) {
            parts.push(full(
                b"ctts",
                self.ctts_version,
                0,
                &self.run_lengths(|s| s.composition.cast_unsigned()),
            ));
        }
        if self.samples.iter().any(|s| !s.sync) {
            parts.push(full(b"stss", 0, 0, &self.numbers(|s| s.sync)));
        }
        if self.samples.iter().any(|s| s.random_access) {
            let rows = self.run_lengths(|s| s.random_access.into());
            parts.push(full(b"sbgp", 0, 0, &joined(&[b"rap ".to_vec(), rows])));
        }
        let (mut runs, mut places, mut offset) = (Vec::new(), Vec::new(), data);
        let mut before = None;
        let chunks = self.chunks();
        for (number, chunk) in (1u32..).zip(&chunks) {
            let row = (u32::try_from(chunk.len()).unwrap(), chunk[0].description + 1);
            if before != Some(row) || !self.runs {
                runs.push(words(&[number, row.0, row.1]));
                before = Some(row);
            }
            places.push(offset);
            offset += chunk.iter().map(|s| u64::from(s.size)).sum::<u64>() + 1;
        }
        let count = |n: usize| words(&[u32::try_from(n).unwrap()]);
        parts.push(full(b"stsc", 0, 0, &joined(&[count(runs.len()), runs.concat()])));
        parts.push(self.sizes());
        parts.push(if self.co64 {
            let places: Vec<u8> = places.iter().flat_map(|p| p.to_be_bytes()).collect();
            full(b"co64", 0, 0, &joined(&[count(chunks.len()), places]))
        } else {
            let places: Vec<u32> = places.iter().map(|p| u32::try_from(*p).unwrap()).collect();
            full(b"stco", 0, 0, &joined(&[count(chunks.len()), words(&places)]))
        });
        boxed(b"stbl", &parts.concat())
    }

    pub(crate) fn trak(&self, data: u64) -> Vec<u8> {
        let mut tkhd = words(&[0, 0, self.number, 0, 0, 0, 0]);
        tkhd.extend([0, 0]);
        tkhd.extend(self.alternate_group.to_be_bytes());
        tkhd.extend(words(&[0]));
        tkhd.extend(self.matrix.iter().flat_map(|n| n.to_be_bytes()));
        tkhd.extend(words(&[0, 0]));
        let mut mdhd = words(&[0, 0, self.timescale, 0]);
        mdhd.extend(self.language.to_be_bytes());
        mdhd.extend([0, 0]);
        let hdlr = joined(&[words(&[0]), self.handler.to_vec(), vec![0; 12], b"VideoHandler\0".to_vec()]);
        let mdia = joined(&[
            full(b"mdhd", 0, 0, &mdhd),
            full(b"hdlr", 0, 0, &hdlr),
            boxed(b"minf", &self.sample_table(data)),
            self.more_mdia.clone(),
        ]);
        let mut trak = full(b"tkhd", 0, self.tkhd_flags, &tkhd);
        if !self.edits.is_empty() {
            let mut elst = words(&[u32::try_from(self.edits.len()).unwrap()]);
            for (duration, media_time, rate) in &self.edits {
                if self.edits_version == 1 {
                    elst.extend(duration.to_be_bytes());
                    elst.extend(media_time.to_be_bytes());
                } else {
                    elst.extend(u32::try_from(*duration).unwrap().to_be_bytes());
                    elst.extend(i32::try_from(*media_time).unwrap().to_be_bytes());
                }
                elst.extend(rate.to_be_bytes());
            }
            trak.extend(boxed(b"edts", &full(b"elst", self.edits_version, 0, &elst)));
        }
        trak.extend(boxed(b"mdia", &mdia));
        trak.extend(&self.more);
        boxed(b"trak", &trak)
    }
}

/// A visual `stsd` entry of 320 by 180.
pub(crate) fn video_entry(kind: &[u8; 4], boxes: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 24];
    body.extend([1, 64, 0, 180]);
    body.extend([0; 50]);
    body.extend(boxes);
    boxed(kind, &body)
}

/// A sound `stsd` entry of version 0.
pub(crate) fn audio_entry(kind: &[u8; 4], channels: u16, bits: u16, rate: u32, boxes: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 16];
    body.extend(channels.to_be_bytes());
    body.extend(bits.to_be_bytes());
    body.extend([0; 4]);
    body.extend((rate << 16).to_be_bytes());
    body.extend(boxes);
    boxed(kind, &body)
}

pub(crate) fn ftyp() -> Vec<u8> {
    boxed(b"ftyp", b"isom\0\0\x02\0isomiso2mp41")
}

pub(crate) fn mvhd(timescale: u32) -> Vec<u8> {
    full(b"mvhd", 0, 0, &joined(&[words(&[0, 0, timescale, 0]), vec![0; 80]]))
}

/// `ftyp`, `mdat`, `moov` with a movie timescale of 1000; `more` goes into the `moov`. Gives also where each track's
/// data begins.
pub(crate) fn film_with(tracks: &[TestTrack], more: &[u8]) -> (Bytes, Vec<u64>) {
    let mut file = ftyp();
    let mut data = file.len() as u64 + 8;
    let mut places = Vec::new();
    for track in tracks {
        places.push(data);
        data += track.data_len();
    }
    let len = usize::try_from(data).unwrap() - file.len() - 8;
    file.extend(boxed(b"mdat", &vec![0xda; len]));
    file.extend(boxed(b"moov", &moov(tracks, &places, more)));
    (file.into(), places)
}

/// The body of a `moov`.
pub(crate) fn moov(tracks: &[TestTrack], places: &[u64], more: &[u8]) -> Vec<u8> {
    let mut moov = mvhd(1_000);
    moov.extend(tracks.iter().zip(places).flat_map(|(track, place)| track.trak(*place)));
    moov.extend(more);
    moov
}

pub(crate) fn film(tracks: &[TestTrack]) -> Bytes {
    film_with(tracks, &[]).0
}

pub(crate) fn open(file: &Bytes) -> Result<Movie, ContainerError> {
    drive_memory(&mut mp4::Opener::new(file.len() as u64), file)
}

pub(crate) fn index(movie: &Movie) -> &Mp4Index {
    let Index::Mp4(index) = &movie.index else { panic!("not an MP4 index") };
    index
}

/// Presentation times of a track.
pub(crate) fn times(movie: &Movie, track: usize) -> Vec<i64> {
    index(movie).tables[track].iter().map(|sample| sample.pts).collect()
}
