//! A filter graph of one source and one sink, for either kind of frame.

use std::ptr::NonNull;

use crate::{
    decode::THREADS_MAX,
    error::{Error, check},
    frame::RawFrame,
    sys,
};

/// An `AVFilterGraph` of ours with one source and one sink.
pub(crate) struct Graph {
    f: &'static sys::Functions,
    stage: &'static str,
    raw: NonNull<sys::AVFilterGraph>,
    source: *mut sys::AVFilterContext,
    sink: *mut sys::AVFilterContext,
    pub(crate) time_base: sys::AVRational,
    finished: bool,
}

// SAFETY: a graph is reached through its owner only; source and sink belong to it.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: ours, freed once, with its filters.
        unsafe { self.f.avfilter_graph_free(&raw mut raw) };
    }
}

impl Graph {
    /// A chain between the two `ends`, filters by name; `source` are the arguments of the first.
    pub(crate) fn build(
        stage: &'static str,
        ends: [&str; 2],
        source: &str,
        chain: &str,
        threads: u32,
    ) -> Result<Self, Error> {
        let f = sys::functions()?;
        // SAFETY: allocates or answers null.
        let mut raw =
            NonNull::new(unsafe { f.avfilter_graph_alloc() }).ok_or(Error::OutOfMemory("filter graph"))?;
        let null = std::ptr::null_mut();
        // SAFETY: the graph is ours; set before any filter is added, as FFmpeg asks.
        unsafe { raw.as_mut().nb_threads = threads.clamp(1, THREADS_MAX).cast_signed() };
        let mut graph = Self {
            f,
            stage,
            raw,
            source: null,
            sink: null,
            time_base: sys::AVRational { num: 1, den: 1 },
            finished: false,
        };
        graph.source = graph.create(ends[0], c"in", source)?;
        graph.sink = graph.create(ends[1], c"out", "")?;
        graph.link(chain)?;
        // SAFETY: a whole graph of ours; the sink is part of it.
        unsafe {
            let code = f.avfilter_graph_config(raw.as_ptr(), null.cast());
            check(f, stage, "configure", code)?;
            graph.time_base = f.av_buffersink_get_time_base(graph.sink);
        }
        Ok(graph)
    }

    /// Whether this FFmpeg has all of these filters.
    pub(crate) fn has_filters(names: &[&str]) -> bool {
        sys::functions().is_ok_and(|f| {
            // SAFETY: looks a name up; nothing is kept.
            names
                .iter()
                .all(|name| !unsafe { f.avfilter_get_by_name(sys::c_string(name).as_ptr()) }.is_null())
        })
    }

    fn create(
        &self,
        kind: &str,
        name: &std::ffi::CStr,
        arguments: &str,
    ) -> Result<*mut sys::AVFilterContext, Error> {
        let (filter, arguments) = (sys::c_string(kind), sys::c_string(arguments));
        let mut made = std::ptr::null_mut();
        // SAFETY: the texts end with zeros and are copied; the filter that is made belongs to the graph.
        unsafe {
            let found = self.f.avfilter_get_by_name(filter.as_ptr());
            if found.is_null() {
                return Err(Error::Missing(format!("filter {kind}")));
            }
            let graph = self.raw.as_ptr();
            let code = self.f.avfilter_graph_create_filter(
                &raw mut made,
                found,
                name.as_ptr(),
                arguments.as_ptr(),
                std::ptr::null_mut(),
                graph,
            );
            check(self.f, self.stage, "create an end", code)?;
        }
        Ok(made)
    }

    /// Puts the chain between source and sink.
    fn link(&self, chain: &str) -> Result<(), Error> {
        let text = sys::c_string(chain);
        let ends = [(c"in", self.source), (c"out", self.sink)];
        // SAFETY: each end is allocated or the step fails; parsing takes what it uses out of the two lists, and what is
        // left of them is freed. The names are copied to memory of FFmpeg's, which frees them with the list.
        unsafe {
            let mut lists = [std::ptr::null_mut::<sys::AVFilterInOut>(); 2];
            let mut made = true;
            for ((name, filter), list) in ends.into_iter().zip(&mut lists) {
                let end = self.f.avfilter_inout_alloc();
                let bytes = name.to_bytes_with_nul();
                let copy = self.f.av_mallocz(bytes.len()).cast::<u8>();
                made &= !end.is_null() && !copy.is_null();
                if made {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
                    (*end).name = copy.cast();
                    (*end).filter_ctx = filter;
                    (*end).pad_idx = 0;
                    *list = end;
                }
            }
            let [mut outputs, mut inputs] = lists;
            let code = if made {
                let null = std::ptr::null_mut();
                let graph = self.raw.as_ptr();
                self.f.avfilter_graph_parse_ptr(graph, text.as_ptr(), &raw mut inputs, &raw mut outputs, null)
            } else {
                sys::ENOMEM
            };
            self.f.avfilter_inout_free(&raw mut inputs);
            self.f.avfilter_inout_free(&raw mut outputs);
            check(self.f, self.stage, "build", code).map(drop)
        }
    }

    pub(crate) fn send(&mut self, frame: &RawFrame) -> Result<(), Error> {
        // SAFETY: the source belongs to a configured graph; it takes over the frame's references and leaves it empty.
        let code = unsafe { self.f.av_buffersrc_add_frame_flags(self.source, frame.as_ptr(), 0) };
        check(self.f, self.stage, "filter a frame", code).map(drop)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        // SAFETY: as above; null is how the end is told.
        let code = unsafe { self.f.av_buffersrc_add_frame_flags(self.source, std::ptr::null_mut(), 0) };
        check(self.f, self.stage, "finish", code).map(drop)
    }

    pub(crate) fn receive(&mut self) -> Result<Option<RawFrame>, Error> {
        let frame = RawFrame::new(self.f)?;
        // SAFETY: the sink belongs to a configured graph; the frame is empty and ours.
        let code = unsafe { self.f.av_buffersink_get_frame(self.sink, frame.as_ptr()) };
        if code == sys::EAGAIN || code == sys::EOF {
            return Ok(None);
        }
        check(self.f, self.stage, "take a frame", code)?;
        Ok(Some(frame))
    }
}
