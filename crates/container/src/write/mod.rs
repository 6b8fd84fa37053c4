//! Writers: CMAF init and media segments, MPEG-TS, WebVTT. One file a format.
