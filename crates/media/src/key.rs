//! What is made once: the name of one output of one title.

use std::fmt;

use packager::{RenditionId, SegmentFormat};

use crate::ContentKey;

/// The kinds of output that are made once and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// A CMAF segment.
    M4s,
    /// An MPEG-TS segment.
    Ts,
    /// A WebVTT segment that goes with CMAF.
    Vtt,
    /// A WebVTT segment that goes with MPEG-TS.
    TsVtt,
    /// A whole subtitle track as WebVTT.
    WholeVtt,
    /// A whole subtitle track as ASS.
    WholeAss,
}

impl Form {
    pub(crate) const ALL: [Self; 6] =
        [Self::M4s, Self::Ts, Self::Vtt, Self::TsVtt, Self::WholeVtt, Self::WholeAss];

    /// What a segment of `rendition` is in `format`.
    pub(crate) fn of(rendition: RenditionId, format: SegmentFormat) -> Self {
        match (rendition, format) {
            (RenditionId::Subtitles(_), SegmentFormat::Fmp4) => Self::Vtt,
            (RenditionId::Subtitles(_), SegmentFormat::Ts) => Self::TsVtt,
            (_, SegmentFormat::Fmp4) => Self::M4s,
            (_, SegmentFormat::Ts) => Self::Ts,
        }
    }

    /// Ending of its file, after the index.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::M4s => "m4s",
            Self::Ts => "ts",
            Self::Vtt => "vtt",
            Self::TsVtt => "ts.vtt",
            Self::WholeVtt => "whole.vtt",
            Self::WholeAss => "whole.ass",
        }
    }
}

/// One output of one title.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SegmentKey {
    pub(crate) content: ContentKey,
    pub(crate) rendition: RenditionId,
    pub(crate) form: Form,
    /// 0 for a whole track.
    pub(crate) index: u32,
}

impl SegmentKey {
    /// Reads `{index}.{extension}` back.
    pub(crate) fn parse(content: &ContentKey, rendition: &str, file: &str) -> Option<Self> {
        let (index, extension) = file.split_once('.')?;
        let form = Form::ALL.into_iter().find(|f| f.extension() == extension)?;
        let key = Self {
            content: content.clone(),
            rendition: rendition.parse().ok()?,
            form,
            index: index.parse().ok()?,
        };
        // Only the spelling that would be written: `01.ts` is not ours.
        (key.file_name() == file).then_some(key)
    }

    /// Its file, in the directory of its rendition.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}", self.index, self.form.extension())
    }
}

/// Its path under the cache's segments.
impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}.{}", self.content, self.rendition, self.index, self.form.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_back_and_others_are_not_ours() {
        let content = ContentKey::new("abc").unwrap();
        for form in Form::ALL {
            let key =
                SegmentKey { content: content.clone(), rendition: RenditionId::Audio(2), form, index: 31 };
            assert_eq!(SegmentKey::parse(&content, "audio-2", &key.file_name()), Some(key));
        }
        for name in ["01.ts", "1.tmp", "1", "x.ts", "1.ts.tmp", "-1.ts", "1.vtt.ts"] {
            assert_eq!(SegmentKey::parse(&content, "audio-2", name), None, "{name}");
        }
        assert_eq!(SegmentKey::parse(&content, "audio-02", "1.ts"), None);
    }
}
