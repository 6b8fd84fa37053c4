//! Text subtitles: SRT, ASS, WebVTT and tx3g samples into WebVTT cues. One file a format.
