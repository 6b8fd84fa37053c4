//! Languages as MP4 writes them: a packed ISO 639-2/T code, and `elng` where that says less than the tag.

/// ISO 639-1 and its ISO 639-2/T code, together.
const CODES: &str = "\
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bhbih \
    bibis bmbam bnben bobod brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym dadan \
    dedeu dvdiv dzdzo eeewe elell eneng eoepo esspa etest eueus fafas ffful fifin fjfij fofao frfra \
    fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat huhun hyhye hzher \
    iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat kgkon kikik kjkua \
    kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim lnlin \
    lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob \
    ndnde nenep ngndo nlnld nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli \
    plpol pspus ptpor quque rmroh rnrun roron rurus rwkin sasan scsrd sdsnd sesme sgsag sisin skslk \
    slslv smsmo snsna sosom sqsqi srsrp ssssw stsot susun svswe swswa tatam tetel tgtgk ththa titir \
    tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig ukukr ururd uzuzb veven vivie vovol \
    wawln wowol xhxho yiyid yoyor zazha zhzho zuzul";

/// The three letters of `mdhd` (ISO/IEC 14496-12 §8.4.2) for a BCP 47 tag; `und` where there are none.
pub(super) fn packed(tag: Option<&str>) -> u16 {
    let code = tag.and_then(three_letters).unwrap_or(*b"und");
    code.iter().fold(0, |packed, letter| (packed << 5) | u16::from(letter & 0x1f))
}

/// Whether the tag says more than its three letters, so that `elng` (§8.4.6) has to be written.
pub(super) fn wants_extended(tag: &str) -> bool {
    const TAG_LEN_MAX: usize = 64;
    let is_tag =
        (2..=TAG_LEN_MAX).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_tag && (tag.contains('-') || three_letters(tag).is_none())
}

pub(super) fn three_letters(tag: &str) -> Option<[u8; 3]> {
    let primary = tag.split('-').next()?.to_ascii_lowercase();
    if !primary.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    match primary.len() {
        2 => {
            CODES.split(' ').find_map(|pair| pair.strip_prefix(primary.as_str()))?.as_bytes().try_into().ok()
        }
        3 => primary.as_bytes().try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters_become_three_and_more_is_kept_apart() {
        assert_eq!(packed(Some("en")), 0x15c7);
        assert_eq!(packed(Some("eng")), 0x15c7);
        assert_eq!(packed(None), 0x55c4);
        assert_eq!(packed(Some("x-klingon")), 0x55c4);
        assert_eq!(packed(Some("pt-BR")), packed(Some("por")));
        assert!(wants_extended("pt-BR"));
        assert!(!wants_extended("de"));
        assert!(!wants_extended("de\0"));
    }
}
