//! Samples and files as they are found, and anything else.

use proptest::prelude::*;

use super::*;
use crate::write::webvtt::{VttHeader, write_vtt};

fn srt(text: &str) -> (String, String) {
    let cue = srt::cue_from_sample(0, 1_000, text.as_bytes()).unwrap();
    (cue.settings, cue.text)
}

fn ass(text: &str) -> Option<(String, String)> {
    let header = b"[Script Info]\nWrapStyle: 0\n[V4+ Styles]\n\
        Format: Name, Fontname, Fontsize, Bold, Italic, Underline, Alignment\n\
        Style: Default,Arial,20,0,0,0,2\nStyle: Sign,Arial,20,0,-1,0,8\n[Events]\nFormat: Layer\n";
    let payload = format!("7,0,{text}");
    let cue = ass::cue_from_sample(&ass::Styles::parse(header), 0, 1_000, payload.as_bytes())?;
    Some((cue.settings, cue.text))
}

#[test]
fn srt_markup_becomes_webvtt_and_signs_stay_signs() {
    let cases = [
        ("plain", "", "plain"),
        ("<i>a</I> <b><u>b</u>", "", "<i>a</i> <b><u>b</u></b>"),
        ("<font color=\"#ff0000\">red</font>", "", "red"),
        ("1 < 2 & 3 > 2 <3", "", "1 &lt; 2 &amp; 3 &gt; 2 &lt;3"),
        ("{\\an8}top", "line:0", "top"),
        ("{\\a6}top", "line:0", "top"),
        ("{not a tag}", "", "{not a tag}"),
        ("a &amp; b &bogus; c", "", "a &amp; b &amp;bogus; c"),
        ("a\r\n\r\n  b \n", "", "a\nb"),
        ("-->", "", "--&gt;"),
        ("<i>a\nb</i>", "", "<i>a\nb</i>"),
        ("Z\u{fc}rich", "", "Z\u{fc}rich"),
    ];
    for (text, settings, expected) in cases {
        assert_eq!(srt(text), (settings.to_owned(), expected.to_owned()), "{text}");
    }
    assert_eq!(srt::cue_from_sample(0, 1_000, b" <i></i>\n"), None);
    assert_eq!(srt::cue_from_sample(0, 0, b"no time"), None);
}

#[test]
fn srt_files_are_read_with_their_faults() {
    let file = "\u{feff}1\r\n00:00:01,000 --> 00:00:02,500\r\nOne\r\n\r\nstill one\r\n2\r\n\
        00:00:03.5 --> 00:00:04,000 X1:10 X2:20\r\nTwo\r\n\r\n\r\n00:05,000 --> 00:06,000\r\n3\r\n\r\n\
        4\r\n00:00:09,000 --> 00:00:08,000\r\nbackwards\r\n\r\n5\r\nnonsense --> more\r\n\
        1:00:00,001 --> 1:00:01,000\r\nlast";
    let cues: Vec<_> = srt::parse_file(file.as_bytes())
        .unwrap()
        .into_iter()
        .map(|cue| (cue.start_ms, cue.end_ms, cue.text))
        .collect();
    let expected = [
        (1_000, 2_500, "One\nstill one"),
        (3_500, 4_000, "Two"),
        (5_000, 6_000, "3"),
        (3_600_001, 3_601_000, "last"),
    ];
    assert_eq!(cues, expected.map(|(start, end, text)| (start, end, text.to_owned())));
}

#[test]
fn encodings_are_found_out() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("Zürich €".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(text::decode(&utf16), "Zürich €");
    assert_eq!(text::decode(b"Z\xfcrich \x80"), "Zürich €");
    assert_eq!(text::decode(b"\xef\xbb\xbfabc"), "abc");
}

#[test]
fn ass_events_become_webvtt() {
    let some = |settings: &str, text: &str| Some((settings.to_owned(), text.to_owned()));
    assert_eq!(ass("Default,,0,0,0,,Hello, world"), some("", "Hello, world"));
    assert_eq!(ass("Default,,0,0,0,,a\\Nb\\nc\\hd"), some("", "a\nb c&nbsp;d"));
    assert_eq!(ass("Default,,0,0,0,,{\\i1}a{\\i0} {\\b700\\fs20}b{\\r} c"), some("", "<i>a</i> <b>b</b> c"));
    assert_eq!(ass("Sign,,0,0,0,,EXIT"), some("line:0", "<i>EXIT</i>"));
    assert_eq!(ass("Sign,,0,0,0,,{\\an5\\pos(3,4)}EXIT{\\rDefault}!"), some("line:50%", "<i>EXIT</i>!"));
    assert_eq!(ass("Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}"), None);
    assert_eq!(ass("Default,,0,0,0,,{\\p1}m 0 0{\\p0}word{a comment}"), some("", "word"));
    assert_eq!(ass("Default,,0,0,0,,a < b {unclosed"), some("", "a &lt; b {unclosed"));
    assert_eq!(ass("Default,,0,0,0,,{\\blur3\\be1\\iclip(1,2,3,4)\\alpha&HFF&}x"), some("", "x"));
    assert_eq!(ass("too,few"), None);
}

#[test]
fn an_ass_file_comes_back_from_its_blocks_in_reading_order() {
    let header = b"[Script Info]\r\nTitle: t\r\n\r\n[V4+ Styles]\r\nFormat: Name\r\nStyle: Default\r\n";
    let event = |start_ms, payload| ass::Event { start_ms, end_ms: start_ms + 1_234, payload };
    let blocks = [
        event(5_000, &b"1,0,Default,,0,0,0,,second, with a comma"[..]),
        event(3_600_000, b"0,3,Default,N,1,2,3,,first\r\nbroken"),
        event(9_000, b"no event"),
    ];
    let file = ass::rebuild(header, blocks).unwrap();
    let expected = "[Script Info]\nTitle: t\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n\
        [Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
        Dialogue: 3,1:00:00.00,1:00:01.23,Default,N,1,2,3,,first\\Nbroken\n\
        Dialogue: 0,0:00:05.00,0:00:06.23,Default,,0,0,0,,second, with a comma\n";
    assert_eq!(file, expected);
    let cues = ass::parse_file(&file).unwrap();
    assert_eq!(cues.len(), 2);
    assert_eq!((cues[1].start_ms, cues[1].end_ms), (5_000, 6_230));
    assert_eq!(cues[1].text, "second, with a comma");
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

#[test]
fn webvtt_in_matroska_and_mp4_keeps_settings_and_identifiers() {
    let cue =
        webvtt::cue_from_block(0, 10, b"<c.x>hi</c>\n\nthere", b"line:0 region:r bad\nid7\nnote").unwrap();
    assert_eq!(
        (cue.settings.as_str(), cue.id.as_str(), cue.text.as_str()),
        ("line:0", "id7", "<c.x>hi</c>\nthere")
    );

    let inner = [boxed(b"iden", b"one"), boxed(b"sttg", b"align:start"), boxed(b"payl", b"text")].concat();
    let sample =
        [boxed(b"vttc", &inner), boxed(b"vtta", b"note"), boxed(b"vttc", &boxed(b"payl", b"two"))].concat();
    let cues = cues_from_sample(&TextFormat::WebVtt, 500, 10, &sample);
    assert_eq!(cues.len(), 2);
    assert_eq!(
        (cues[0].settings.as_str(), cues[0].id.as_str(), cues[0].text.as_str()),
        ("align:start", "one", "text")
    );
    assert_eq!(cues_from_sample(&TextFormat::WebVtt, 0, 10, &boxed(b"vtte", b"")), []);
}

#[test]
fn webvtt_files_are_read_without_notes_styles_and_regions() {
    let file = "WEBVTT - title\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\nSTYLE\n::cue { color: red }\n\n\
        NOTE a\nnote\n\nid\n00:01.000 --> 00:02.000 align:start\n<i>a</i> &amp; b\n\n\
        01:00:00.000-->01:00:01.000\nc <00:01.500>x < y <3\nd\n";
    let cues = webvtt::parse_file(file.as_bytes()).unwrap();
    assert_eq!(cues.len(), 2);
    assert_eq!(
        (cues[0].id.as_str(), cues[0].settings.as_str(), cues[0].start_ms),
        ("id", "align:start", 1_000)
    );
    assert_eq!(cues[1].text, "c <00:01.500>x &lt; y &lt;3\nd");
    assert!(webvtt::parse_file(b"00:01.000 --> 00:02.000\nx").is_err());
}

#[test]
fn timed_text_styles_are_tags_and_an_empty_sample_clears() {
    let mut sample = vec![0, 8];
    sample.extend_from_slice(b"ab cd\nef");
    let runs = [[0, 0, 0, 2, 0, 1, 1, 12, 0, 0, 0, 0], [0, 3, 0, 8, 0, 1, 6, 12, 0, 0, 0, 0]].concat();
    sample.extend(boxed(b"hlit", b"1234"));
    sample.extend(boxed(b"styl", &[&[0, 2], &runs[..]].concat()));
    let cues = cues_from_sample(&TextFormat::Tx3g, 0, 1_000, &sample);
    assert_eq!(cues[0].text, "<b>ab</b> <i><u>cd\nef</u></i>");
    assert_eq!(cues_from_sample(&TextFormat::Tx3g, 0, 1_000, &[0, 0]), []);
    let utf16 = [&[0, 8, 0xfe, 0xff][..], &[0, b'a', 0, b'<', 0xac, 0x20]].concat();
    assert_eq!(cues_from_sample(&TextFormat::Tx3g, 0, 1_000, &utf16)[0].text, "a&lt;\u{ac20}");
}

/// Cue text that a WebVTT parser reads to its end without a fault.
fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.contains("-->"));
    assert!(text.split('\n').all(|line| !line.trim().is_empty()), "{text:?}");
    let opened = text.matches('<').count();
    let tags: usize =
        ["<b>", "</b>", "<i>", "</i>", "<u>", "</u>"].iter().map(|tag| text.matches(tag).count()).sum();
    assert_eq!(opened, tags, "{text:?}");
    for tag in ["b", "i", "u"] {
        assert_eq!(text.matches(&format!("<{tag}>")).count(), text.matches(&format!("</{tag}>")).count());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&data);
    }

    #[test]
    fn any_markup_gives_sound_cue_text(
        text in r"([a-c <>&;{}\\/\n\r]|<i>|</i>|<b>|\{\\i1\}|\{\\p1\}|\{\\an7\}|-->|\\N|\\h|&amp;|<font x='y'>){0,40}",
    ) {
        let ass_block = format!("0,0,Default,,0,0,0,,{text}");
        let cues = [
            srt::cue_from_sample(0, 1, text.as_bytes()),
            ass::cue_from_sample(&ass::Styles::default(), 0, 1, ass_block.as_bytes()),
        ];
        for cue in cues.iter().flatten() {
            check_text(&cue.text);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        cues in prop::collection::vec((0_i64..400_000_000, 1_i64..100_000, "[a-z]{1,9}( [a-z&<]{1,9}){0,3}"), 0..20),
    ) {
        let mut cues: Vec<_> = cues.into_iter().filter_map(|(start, duration, text)| {
            srt::cue_from_sample(start, duration, text.as_bytes())
        }).collect();
        let written = write_vtt(&cues, VttHeader::default());
        cues.sort_by_key(|cue| cue.start_ms);
        cues.dedup();
        prop_assert_eq!(webvtt::parse_file(&written).unwrap(), cues);
    }

    #[test]
    fn mutated_files_are_read_or_refused(
        at in prop::collection::vec((0_usize..300, any::<u8>()), 0..12),
    ) {
        let files: [&[u8]; 3] = [
            b"1\n00:00:01,000 --> 00:00:02,000\n<i>x</i>\n\n2\n00:00:03,000 --> 00:00:04,000\n{\\an8}y\n",
            b"WEBVTT\n\nid\n00:01.000 --> 00:02.000 line:0\ntext\n",
            b"[V4+ Styles]\nStyle: A,B,1\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,A,,0,0,0,,{\\i1}x\\Ny\n",
        ];
        for file in files {
            let mut file = file.to_vec();
            for &(at, byte) in &at {
                let len = file.len();
                file[at % len] = byte;
            }
            fuzz(&file);
        }
    }
}

#[test]
fn webm_blocks_of_the_first_form_name_their_cue_and_its_place_in_two_lines() {
    let cues = cues_from_sample(&TextFormat::WebVttInline, 0, 10, b"id 7\nline:0 align:start\nOne\nTwo");
    assert_eq!(cues.len(), 1);
    assert_eq!((cues[0].id.as_str(), cues[0].text.as_str()), ("id 7", "One\nTwo"));
    assert!(cues[0].settings.contains("line:0"), "{}", cues[0].settings);
    let bare = cues_from_sample(&TextFormat::WebVttInline, 0, 10, b"\n\nThe first line");
    assert_eq!((bare[0].id.as_str(), bare[0].text.as_str()), ("", "The first line"));
    assert_eq!(cues_from_sample(&TextFormat::WebVttInline, 0, 10, b"cut"), []);
}
