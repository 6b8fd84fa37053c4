//! Attribute lists (RFC 8216 §4.2), safe whatever a file names its tracks.

use std::fmt::{Display, Write};

/// An attribute list on the way, beginning with its tag.
#[derive(Debug)]
pub(crate) struct Attributes {
    line: String,
    first: bool,
}

impl Attributes {
    /// For a tag such as `#EXT-X-MEDIA`.
    pub(crate) fn of(tag: &str) -> Self {
        Self { line: format!("{tag}:"), first: true }
    }

    /// An attribute without quotes: a number, a resolution, an enumerated word.
    pub(crate) fn plain(mut self, name: &str, value: impl Display) -> Self {
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(self.line, "{comma}{name}={value}");
        self
    }

    /// A quoted attribute; quotes and control characters are taken out of the value.
    pub(crate) fn quoted(self, name: &str, value: &str) -> Self {
        let safe: String = value.chars().filter(|c| *c != '"' && !c.is_control()).take(256).collect();
        self.plain(name, format_args!("\"{safe}\""))
    }

    /// The same with [`quoted`](Self::quoted), if there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.quoted(name, value),
            None => self,
        }
    }

    /// `YES` or `NO`.
    pub(crate) fn flag(self, name: &str, value: bool) -> Self {
        self.plain(name, if value { "YES" } else { "NO" })
    }

    /// The line, with its end.
    pub(crate) fn line(self) -> String {
        self.line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let line =
            Attributes::of("#EXT-X-MEDIA").quoted("NAME", "a\"\n#EXT-X-ENDLIST\r,b").flag("DEFAULT", true);
        assert_eq!(line.line(), "#EXT-X-MEDIA:NAME=\"a#EXT-X-ENDLIST,b\",DEFAULT=YES\n");
    }
}
