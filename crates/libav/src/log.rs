//! What FFmpeg has to say: kept in a short ring for the next error, never printed.
//!
//! A damaged film makes thousands of lines. Only warnings and worse are formatted, and only the last few are kept.

use std::{
    collections::VecDeque,
    ffi::{c_char, c_int, c_void},
    sync::{Mutex, OnceLock},
};

/// `av_log_format_line2`. The variadic arguments are a pointer on every machine we know: `va_list` is an array of one on
/// x86-64, and a structure that is passed by reference on 64-bit ARM.
pub(crate) type FormatLine = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *const c_char,
    *mut c_void,
    *mut c_char,
    c_int,
    *mut c_int,
) -> c_int;

/// What `av_log_set_callback` takes.
pub(crate) type Callback = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);

/// Lines kept.
pub(crate) const LINES_MAX: usize = 8;
/// Bytes kept of a line.
const LINE_BYTES_MAX: u8 = 200;
/// `AV_LOG_WARNING`: what is less urgent has a higher number.
const LEVEL_MAX: c_int = 24;

pub(crate) static FORMAT_LINE: OnceLock<FormatLine> = OnceLock::new();
static LINES: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// The lines kept so far, which are then forgotten.
pub(crate) fn take() -> Vec<String> {
    LINES.lock().map(|mut lines| lines.drain(..).collect()).unwrap_or_default()
}

/// Takes one message from FFmpeg, on any of its threads.
///
/// # Safety
/// Called by FFmpeg only: `class`, `format` and `arguments` are what `av_log` got.
pub(crate) unsafe extern "C" fn callback(
    class: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut c_void,
) {
    if level > LEVEL_MAX {
        return;
    }
    let Some(format_line) = FORMAT_LINE.get() else { return };
    let mut line = [0u8; LINE_BYTES_MAX as usize];
    let mut prefix: c_int = 1;
    // SAFETY: class, format and arguments come from FFmpeg, for this very call; the line is writable for its length, and
    // the function cuts at it and ends with a zero.
    unsafe {
        format_line(
            class,
            level,
            format,
            arguments,
            line.as_mut_ptr().cast(),
            c_int::from(LINE_BYTES_MAX),
            &raw mut prefix,
        );
    }
    let end = line.iter().position(|b| *b == 0).unwrap_or(line.len());
    let text = String::from_utf8_lossy(&line[..end]).trim().to_owned();
    // Not waited for: a line is not worth a decoder thread's time.
    if let Ok(mut lines) = LINES.try_lock() {
        if lines.back() == Some(&text) {
            return;
        }
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}
