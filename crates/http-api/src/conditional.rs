//! Preconditions (RFC 9110 section 13): whether the client already has it, or wants it only as it was.

use std::time::SystemTime;

use axum::http::{HeaderMap, header};

/// What a resource is validated by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// Entity tag, quotes included; a weak one begins with `W/`.
    pub(crate) etag: &'a str,
    /// Last change, where there is a meaningful one.
    pub(crate) modified: Option<SystemTime>,
}

/// The outcome, in the order of RFC 9110 section 13.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Send it.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Looks at `If-Match`, `If-Unmodified-Since`, `If-None-Match`, `If-Modified-Since`.
pub(crate) fn evaluate(headers: &HeaderMap, validators: Validators<'_>) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        // Strong comparison: a weak tag, theirs or ours, is like nothing.
        if !any_tag(headers, &header::IF_MATCH, |tag| tag == validators.etag && !tag.starts_with("W/")) {
            return Outcome::Failed;
        }
    } else if let Some(limit) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && validators.modified.is_some_and(|m| seconds(m) > seconds(limit))
    {
        return Outcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        // Weak comparison: the tag without its W/.
        let opaque = |tag: &str| tag.trim_start_matches("W/") == validators.etag.trim_start_matches("W/");
        if any_tag(headers, &header::IF_NONE_MATCH, opaque) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date(headers, &header::IF_MODIFIED_SINCE)
        && validators.modified.is_some_and(|m| seconds(m) <= seconds(since))
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether `If-Range` allows a part: absent, or the same strong tag, or the very date we gave.
pub(crate) fn range_allowed(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let value = value.trim();
    if value.starts_with('"') || value.starts_with("W/") {
        return value == validators.etag;
    }
    match (httpdate::parse_http_date(value), validators.modified) {
        (Ok(date), Some(modified)) => seconds(date) == seconds(modified),
        _ => false,
    }
}

fn any_tag(headers: &HeaderMap, name: &header::HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    // Our tags hold no comma, so a split by commas can only miss tags that are not ours.
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || matches(tag))
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// HTTP dates have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TAG: &str = "\"abc\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn validators() -> Validators<'static> {
        let modified = httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(700);
        Validators { etag: TAG, modified: Some(modified) }
    }

    #[test]
    fn a_weak_tag_is_enough_to_be_kept_and_not_to_be_matched() {
        let weak = Validators { etag: "W/\"abc\"", modified: None };
        for tag in ["W/\"abc\"", TAG] {
            assert_eq!(evaluate(&headers(&[("if-none-match", tag)]), weak), Outcome::NotModified);
            assert_eq!(evaluate(&headers(&[("if-match", tag)]), weak), Outcome::Failed);
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn preconditions_in_their_order() {
        use Outcome::{Failed, NotModified, Proceed};
        for (fields, expected) in [
            (vec![], Proceed),
            (vec![("if-none-match", "\"abc\"")], NotModified),
            (vec![("if-none-match", "W/\"abc\"")], NotModified),
            (vec![("if-none-match", "\"x\", \"abc\"")], NotModified),
            (vec![("if-none-match", "*")], NotModified),
            (vec![("if-none-match", "\"x\"")], Proceed),
            (vec![("if-modified-since", DATE)], NotModified),
            (vec![("if-modified-since", EARLIER)], Proceed),
            (vec![("if-modified-since", "yesterday")], Proceed),
            // The tag decides, the date is not looked at.
            (vec![("if-none-match", "\"x\""), ("if-modified-since", DATE)], Proceed),
            (vec![("if-match", "\"abc\"")], Proceed),
            (vec![("if-match", "*")], Proceed),
            (vec![("if-match", "\"x\"")], Failed),
            (vec![("if-match", "W/\"abc\"")], Failed),
            (vec![("if-unmodified-since", EARLIER)], Failed),
            (vec![("if-unmodified-since", DATE)], Proceed),
        ] {
            assert_eq!(evaluate(&headers(&fields), validators()), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_part_only_of_the_same_thing() {
        for (value, allowed) in [
            ("\"abc\"", true),
            ("\"x\"", false),
            ("W/\"abc\"", false),
            (DATE, true),
            (EARLIER, false),
            ("nonsense", false),
        ] {
            assert_eq!(range_allowed(&headers(&[("if-range", value)]), validators()), allowed, "{value}");
        }
        assert!(range_allowed(&HeaderMap::new(), validators()));
    }
}
