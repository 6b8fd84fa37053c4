//! Pictures as they were stored to pictures as they are encoded: upright, progressive, square samples, 8-bit 4:2:0.

use crate::{
    error::Error,
    frame::{Colour, VideoFrame},
    graph::Graph,
    sys,
    time::{Durations, TimeBase, rescale},
};

/// How a picture is turned before it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// As stored.
    #[default]
    None,
    /// A quarter to the right.
    Clockwise90,
    /// Upside down.
    Half,
    /// A quarter to the left.
    Clockwise270,
}

impl Rotation {
    /// Whether width and height change places.
    pub fn is_sideways(self) -> bool {
        matches!(self, Self::Clockwise90 | Self::Clockwise270)
    }
}

/// What a filter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFilterSettings {
    /// Width of what comes out, even: see [`fit`](crate::fit).
    pub width: u32,
    /// Height of what comes out, even.
    pub height: u32,
    /// How the picture is turned.
    pub rotation: Rotation,
    /// Whether interlaced frames are made progressive, one frame for one frame. Frames that do not say that they are
    /// interlaced pass as they are.
    pub deinterlace: bool,
    /// The unit of the frames' times, in and out.
    pub time_base: TimeBase,
    /// How many threads filter, 1 to 16.
    pub threads: u32,
}

/// What a filter graph is built for; another shape needs another graph.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    width: i32,
    height: i32,
    format: i32,
    sample_aspect: (u32, u32),
    colour: Colour,
    /// FFmpeg's own number of the range: 0 where the stream does not say.
    range: u32,
}

impl Shape {
    fn of(frame: &VideoFrame) -> Self {
        let fields = frame.raw.fields();
        Self {
            width: fields.width,
            height: fields.height,
            format: fields.format,
            sample_aspect: frame.sample_aspect_ratio(),
            colour: frame.colour(),
            range: fields.color_range,
        }
    }
}

/// The filters that bring high dynamic range (PQ, HLG) to BT.709, after scaling, because they are slow; `None` for other pictures,
/// for colours that zimg cannot convert from, and where FFmpeg was built without it.
///
/// Reference white (203 cd/m², ITU-R BT.2408) becomes white; what is brighter is rolled off.
fn tone_map(colour: Colour) -> Option<String> {
    const UNSPECIFIED: u8 = 2;
    let transfer = match colour.transfer {
        16 => "smpte2084",
        18 => "arib-std-b67",
        _ => return None,
    };
    let matrix = match colour.matrix {
        1 => "bt709",
        9 | UNSPECIFIED => "bt2020nc",
        _ => return None,
    };
    let primaries = match colour.primaries {
        1 => "bt709",
        9 | UNSPECIFIED => "bt2020",
        12 => "smpte432",
        _ => return None,
    };
    Graph::has_filters(&["zscale", "tonemap"]).then(|| {
        format!(
            "format=yuv420p10le,setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}:range=tv,\
             zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=mobius:desat=0,\
             zscale=t=bt709:m=bt709:r=tv"
        )
    })
}

/// Scales, turns and converts pictures; high dynamic range becomes BT.709 where this FFmpeg has zimg. Each picture that goes in comes out once, with its own time.
pub struct VideoFilter {
    settings: VideoFilterSettings,
    time_base: sys::AVRational,
    graph: Option<(Shape, Graph)>,
    /// A frame of another shape, while the graph before it is being emptied.
    next: Option<VideoFrame>,
    durations: Durations,
    finished: bool,
}

impl VideoFilter {
    const STAGE: &'static str = "video filter";

    /// Makes a filter; its graph is built when the first picture is there.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes that are odd, 0 or above 16384.
    pub fn new(settings: &VideoFilterSettings) -> Result<Self, Error> {
        let (width, height) = (settings.width, settings.height);
        if [width, height].iter().any(|length| length % 2 == 1 || !(2..=16384).contains(length)) {
            return Err(Error::Setting { what: "picture size", value: format!("{width}x{height}") });
        }
        let time_base = settings.time_base.rational()?;
        let durations = Durations::default();
        Ok(Self { settings: *settings, time_base, graph: None, next: None, durations, finished: false })
    }

    /// Takes the next picture.
    ///
    /// # Errors
    /// [`Error::Order`] for a picture without a time, while results wait, and after the end.
    pub fn send(&mut self, frame: VideoFrame) -> Result<(), Error> {
        if self.finished {
            return Err(order("nothing comes after the end"));
        }
        if self.next.is_some() {
            return Err(order("frames wait to be received"));
        }
        let pts = frame.pts.ok_or(order("a picture without a time"))?;
        if frame.duration > 0 {
            self.durations.insert(pts, frame.duration);
        }
        let shape = Shape::of(&frame);
        match &mut self.graph {
            Some((built, graph)) if *built == shape => pass(graph, frame),
            Some((_, graph)) => {
                graph.finish()?;
                self.next = Some(frame);
                Ok(())
            }
            None => self.rebuild(frame),
        }
    }

    fn rebuild(&mut self, frame: VideoFrame) -> Result<(), Error> {
        let shape = Shape::of(&frame);
        self.graph = None;
        let mut graph = Graph::build(
            Self::STAGE,
            ["buffer", "buffersink"],
            &source(&shape, self.time_base),
            &self.describe(&shape),
            self.settings.threads,
        )?;
        pass(&mut graph, frame)?;
        self.graph = Some((shape, graph));
        Ok(())
    }

    /// The chain between source and sink, in FFmpeg's notation.
    fn describe(&self, shape: &Shape) -> String {
        let VideoFilterSettings { width, height, rotation, deinterlace, .. } = self.settings;
        let mut chain = Vec::new();
        if deinterlace {
            chain.push("bwdif=mode=send_frame:parity=auto:deint=interlaced".to_owned());
        }
        match rotation {
            Rotation::None => {}
            Rotation::Clockwise90 => chain.push("transpose=clock".into()),
            Rotation::Half => chain.push("hflip,vflip".into()),
            Rotation::Clockwise270 => chain.push("transpose=cclock".into()),
        }
        let mut scale = format!("scale={width}:{height}:flags=bicubic:out_range=tv");
        if shape.colour.matrix == 0 {
            scale.push_str(":out_color_matrix=bt709");
        }
        chain.push(scale);
        if let Some(tone_map) = tone_map(shape.colour) {
            chain.push(tone_map);
        }
        chain.push("format=yuv420p".into());
        chain.push("setsar=1".into());
        if shape.colour.matrix == 0 {
            chain.push("setparams=colorspace=bt709".into());
        }
        chain.join(",")
    }

    /// Says that no picture follows: what is held back can be received.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn finish(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.finished, true)
            && let Some((_, graph)) = self.graph.as_mut().filter(|_| self.next.is_none())
        {
            graph.finish()?;
        }
        Ok(())
    }

    /// The next picture; `None` until another is sent, and at the end.
    ///
    /// # Errors
    /// [`Error::Failed`] where the picture cannot be converted.
    pub fn receive(&mut self) -> Result<Option<VideoFrame>, Error> {
        loop {
            let Some((_, graph)) = self.graph.as_mut() else { return Ok(None) };
            if let Some(mut raw) = graph.receive()? {
                let pts = rescale(raw.fields().pts, graph.time_base, self.time_base);
                raw.fields_mut().pts = pts;
                let duration = self.durations.take(pts);
                return Ok(Some(VideoFrame { raw, pts: Some(pts), duration }));
            }
            let Some(frame) = self.next.take() else { return Ok(None) };
            self.rebuild(frame)?;
            if self.finished
                && let Some((_, graph)) = self.graph.as_mut()
            {
                graph.finish()?;
            }
        }
    }
}

/// Puts a frame into a graph with the time that we know, which may not be the one inside.
fn pass(graph: &mut Graph, mut frame: VideoFrame) -> Result<(), Error> {
    frame.raw.fields_mut().pts = frame.pts.unwrap_or(sys::NO_TIME);
    graph.send(&frame.raw)
}

fn order(why: &'static str) -> Error {
    Error::Order { stage: VideoFilter::STAGE.into(), why }
}

/// The source's arguments.
fn source(shape: &Shape, time_base: sys::AVRational) -> String {
    let Shape { width, height, format, sample_aspect: (sar_num, sar_den), colour, range } = shape;
    let mut arguments = format!(
        "width={width}:height={height}:pix_fmt={format}:time_base={}/{}:sar={sar_num}/{sar_den}",
        time_base.num, time_base.den
    );
    // From FFmpeg 7 on (libavfilter 10) colours are agreed upon along the graph.
    if sys::LIBAVFILTER_VERSION_MAJOR >= 10 {
        arguments.push_str(&format!(":colorspace={}:range={range}", colour.matrix));
    }
    arguments
}
