//! The libraries: bound at build time from the machine's headers, loaded at run time.

use std::{ffi::CString, sync::OnceLock};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::{error::Error, log};

#[allow(
    warnings,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    missing_docs,
    reason = "generated from C headers; which lints it meets differs between FFmpeg's versions"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
pub(crate) use bindings::*;

/// `AV_NOPTS_VALUE`.
pub(crate) const NO_TIME: i64 = i64::MIN;
/// `AVERROR(EAGAIN)`.
pub(crate) const EAGAIN: i32 = -11;
/// `AVERROR(ENOMEM)`.
pub(crate) const ENOMEM: i32 = -12;
/// `AVERROR_EOF`.
pub(crate) const EOF: i32 = -i32::from_le_bytes(*b"EOF ");
/// The largest single allocation FFmpeg may make: an 8K frame of 16-bit 4:4:4 is 200 MB.
const ALLOCATION_BYTES_MAX: usize = 512 << 20;

/// The versions of the libraries that were loaded, as `major.minor.micro`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Of libavutil.
    pub avutil: String,
    /// Of libavcodec; its encoders' output may differ between versions.
    pub avcodec: String,
    /// Of libavfilter.
    pub avfilter: String,
}

struct Loaded {
    functions: Functions,
    versions: Versions,
}

static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();

/// Loads FFmpeg's libraries, once; further calls answer at once. Every other call of this crate does it when needed, but a
/// process that is about to give up the file system calls it before.
///
/// # Errors
/// [`Error::Unavailable`] where they are not installed, or are another version than those that this was built with.
pub fn load() -> Result<Versions, Error> {
    loaded().map(|l| l.versions.clone())
}

pub(crate) fn functions() -> Result<&'static Functions, Error> {
    loaded().map(|l| &l.functions)
}

fn loaded() -> Result<&'static Loaded, Error> {
    LOADED.get_or_init(open).as_ref().map_err(|why| Error::Unavailable(why.clone()))
}

fn open() -> Result<Loaded, String> {
    for (name, major) in [
        ("avutil", LIBAVUTIL_VERSION_MAJOR),
        ("avcodec", LIBAVCODEC_VERSION_MAJOR),
        ("avfilter", LIBAVFILTER_VERSION_MAJOR),
    ] {
        let file = format!("lib{name}.so.{major}");
        // SAFETY: FFmpeg's libraries may be loaded at any time; their initialisers touch nothing of ours.
        let library = unsafe { Library::open(Some(&file), RTLD_NOW | RTLD_GLOBAL) }
            .map_err(|why| format!("{file}: {why}"))?;
        // Never unloaded: threads of theirs, and our function table, live as long as the process.
        std::mem::forget(library);
    }
    // SAFETY: the names were bound from the headers of these very major versions, so each has the signature declared.
    let functions = unsafe { Functions::from_library(Library::this()) }.map_err(|why| why.to_string())?;
    // SAFETY: plain functions without arguments.
    let found =
        unsafe { [functions.avutil_version(), functions.avcodec_version(), functions.avfilter_version()] };
    let built = [
        version(LIBAVUTIL_VERSION_MAJOR, LIBAVUTIL_VERSION_MINOR),
        version(LIBAVCODEC_VERSION_MAJOR, LIBAVCODEC_VERSION_MINOR),
        version(LIBAVFILTER_VERSION_MAJOR, LIBAVFILTER_VERSION_MINOR),
    ];
    // An older minor version may lack fields at the end of structures that we would then write past.
    if let Some((found, built)) = found.iter().zip(built).find(|(found, built)| *found >> 8 < built >> 8) {
        return Err(format!(
            "version {} is older than {}, which this was built for",
            text(*found),
            text(built)
        ));
    }
    quiet(&Library::this(), &functions)?;
    let versions = Versions { avutil: text(found[0]), avcodec: text(found[1]), avfilter: text(found[2]) };
    Ok(Loaded { functions, versions })
}

/// Routes the log to the ring and caps single allocations.
fn quiet(all: &Library, functions: &Functions) -> Result<(), String> {
    // SAFETY: both symbols are of libavutil, with these signatures since its first version (see `log::FormatLine` for the
    // argument list); the callback stays valid, as it is a function of ours.
    unsafe {
        let format = all.get::<log::FormatLine>(c"av_log_format_line2").map_err(|e| e.to_string())?;
        let set = all.get::<unsafe extern "C" fn(log::Callback)>(c"av_log_set_callback");
        let _ = log::FORMAT_LINE.set(*format);
        set.map_err(|e| e.to_string())?(log::callback);
        functions.av_max_alloc(ALLOCATION_BYTES_MAX);
    }
    Ok(())
}

fn version(major: u32, minor: u32) -> u32 {
    major << 16 | minor << 8
}

fn text(version: u32) -> String {
    format!("{}.{}.{}", version >> 16, version >> 8 & 255, version & 255)
}

/// Text for C. A zero inside ends it there.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// Options by name, for `avcodec_open2`.
pub(crate) struct Options {
    f: &'static Functions,
    raw: *mut AVDictionary,
}

impl Options {
    pub(crate) fn new(f: &'static Functions) -> Self {
        Self { f, raw: std::ptr::null_mut() }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let (name, value) = (c_string(name), c_string(value));
        // SAFETY: both texts end with a zero and are copied; `raw` is null or a dictionary of ours.
        unsafe { self.f.av_dict_set(&raw mut self.raw, name.as_ptr(), value.as_ptr(), 0) };
    }

    /// Where FFmpeg takes what it knows from; the rest stays.
    pub(crate) fn raw_mut(&mut self) -> *mut *mut AVDictionary {
        &raw mut self.raw
    }

    /// The name of an option that nobody took.
    pub(crate) fn left(&self) -> Option<String> {
        // SAFETY: `raw` is null or a dictionary of ours; the entry is copied before anything changes it.
        unsafe {
            let flags = AV_DICT_IGNORE_SUFFIX as i32;
            let entry = self.f.av_dict_get(self.raw, c"".as_ptr(), std::ptr::null(), flags);
            let entry = entry.as_ref()?;
            Some(std::ffi::CStr::from_ptr(entry.key).to_string_lossy().into_owned())
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, freed once; null is allowed.
        unsafe { self.f.av_dict_free(&raw mut self.raw) };
    }
}
