//! Binds FFmpeg as this machine's headers declare it: struct layouts differ between 5.1 and 9, so they are read from the
//! headers, not written down. The functions are looked up when the libraries are loaded (`src/sys.rs`), not by the linker.

use std::{env, error::Error, path::PathBuf, process::Command};

/// Every function that the crate calls, by library. Whatever is not here is not bound.
const FUNCTIONS: &[&str] = &[
    // libavutil
    "av_channel_layout_default",
    "av_dict_(set|free|get)",
    "av_frame_(alloc|free|get_buffer)",
    "av_get_pix_fmt_name",
    "av_mallocz",
    "av_max_alloc",
    "av_strerror",
    "avutil_version",
    // libavcodec
    "av_new_packet",
    "av_packet_(alloc|free|unref)",
    "avcodec_(alloc_context3|free_context|open2|flush_buffers|version|get_name)",
    "avcodec_(send_packet|receive_frame|send_frame|receive_packet)",
    "avcodec_find_(decoder|encoder_by_name)",
    // libavfilter
    "avfilter_(version|get_by_name|graph_alloc|graph_free|graph_create_filter|graph_parse_ptr|graph_config)",
    "avfilter_inout_(alloc|free)",
    "av_buffersrc_add_frame_flags",
    "av_buffersink_(get_frame|get_time_base)",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=wrapper.h");
    let mut flags = Vec::new();
    for library in ["libavutil", "libavcodec", "libavfilter"] {
        let found = Command::new("pkg-config").args(["--cflags", library]).output()?;
        if !found.status.success() {
            return Err(format!("{library} 5.1 or later is needed: run scripts/setup.sh build").into());
        }
        flags.extend(String::from_utf8(found.stdout)?.split_whitespace().map(str::to_owned));
    }
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .dynamic_library_name("Functions")
        .dynamic_link_require_all(true)
        .wrap_unsafe_ops(true)
        .formatter(bindgen::Formatter::None)
        .layout_tests(false)
        .generate_comments(false)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_debug(false)
        .allowlist_var("(AV_|FF_|LIBAV).*")
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()));
    for functions in FUNCTIONS {
        builder = builder.allowlist_function(functions);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs");
    builder.generate()?.write_to_file(out)?;
    Ok(())
}
