//! Languages: what files say (ISO 639-2, BCP 47) as BCP 47.

/// ISO 639-2 codes (bibliographic and terminological) that have a two-letter form.
const TWO_LETTERS: &str = "aar aa abk ab afr af aka ak alb sq amh am ara ar arg an arm hy asm as ava av aym ay aze az \
    bak ba bam bm baq eu bel be ben bn bod bo bos bs bre br bul bg bur my cat ca ces cs cha ch che ce chi zh chv cv \
    cor kw cos co cre cr cym cy cze cs dan da deu de div dv dut nl dzo dz ell el eng en epo eo est et eus eu ewe ee \
    fao fo fas fa fij fj fin fi fra fr fre fr fry fy ful ff geo ka ger de gla gd gle ga glg gl glv gv gre el grn gn \
    guj gu hat ht hau ha heb he her hz hin hi hmo ho hrv hr hun hu hye hy ibo ig ice is ido io iii ii iku iu ile ie \
    ina ia ind id ipk ik isl is ita it jav jv jpn ja kal kl kan kn kas ks kat ka kau kr kaz kk khm km kik ki kin rw \
    kir ky kom kv kon kg kor ko kua kj kur ku lao lo lat la lav lv lim li lin ln lit lt ltz lb lub lu lug lg mac mk \
    mah mh mal ml mao mi mar mr may ms mkd mk mlg mg mlt mt mon mn mri mi msa ms mya my nau na nav nv nbl nr nde nd \
    ndo ng nep ne nld nl nno nn nob nb nor no nya ny oci oc oji oj ori or orm om oss os pan pa per fa pli pi pol pl \
    por pt pus ps que qu roh rm ron ro rum ro run rn rus ru sag sg san sa sin si slk sk slo sk slv sl sme se smo sm \
    sna sn snd sd som so sot st spa es sqi sq srd sc srp sr ssw ss sun su swa sw swe sv tah ty tam ta tat tt tel te \
    tgk tg tgl tl tha th tib bo tir ti ton to tsn tn tso ts tuk tk tur tr twi tw uig ug ukr uk urd ur uzb uz ven ve \
    vie vi vol vo wel cy wln wa wol wo xho xh yid yi yor yo zha za zho zh zul zu";

/// The longest tag that is passed on; RFC 5646 recommends buffers of 35.
const TAG_BYTES_MAX: usize = 35;

/// Makes a BCP 47 tag of what a file says: `ger` and `deu` become `de`, `pt-BR` stays, `und` and nonsense are `None`.
#[must_use]
pub fn bcp47(stated: &str) -> Option<String> {
    let tag = stated.trim();
    let plain = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if tag.is_empty() || tag.len() > TAG_BYTES_MAX || !plain {
        return None;
    }
    let tag = tag.replace('_', "-");
    let (primary, rest) = tag.split_once('-').unwrap_or((&tag, ""));
    let primary = primary.to_ascii_lowercase();
    if !(2..=8).contains(&primary.len()) || !primary.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    if ["und", "mis", "mul", "zxx", "unk", "qaa"].contains(&primary.as_str()) {
        return None;
    }
    let mut words = TWO_LETTERS.split_ascii_whitespace();
    let mut short = None;
    while let (Some(three), Some(two)) = (words.next(), words.next()) {
        if three == primary {
            short = Some(two);
            break;
        }
    }
    let primary = short.unwrap_or(&primary);
    Some(if rest.is_empty() { primary.to_owned() } else { format!("{primary}-{rest}") })
}

/// The language of an MP4 `mdhd`: three packed letters of five bits (ISO/IEC 14496-12, 8.4.2.3).
#[must_use]
pub fn packed(code: u16) -> Option<String> {
    let letter = |shift: u32| char::from(u8::try_from(code >> shift & 0x1f).unwrap_or(0) + 0x60);
    bcp47(&[letter(10), letter(5), letter(0)].iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_three_letter_codes_become_two_letters() {
        assert_eq!(bcp47("ger").as_deref(), Some("de"));
        assert_eq!(bcp47("deu").as_deref(), Some("de"));
        assert_eq!(bcp47("fre-CA").as_deref(), Some("fr-CA"));
        assert_eq!(bcp47("zh-Hant").as_deref(), Some("zh-Hant"));
        assert_eq!(bcp47("fil").as_deref(), Some("fil"));
        assert_eq!(bcp47("und"), None);
        assert_eq!(bcp47("\"x"), None);
        assert_eq!(packed(0x15c7).as_deref(), Some("en"));
        assert_eq!(packed(0x7fff), None);
    }

    #[test]
    fn the_table_is_whole() {
        let words: Vec<_> = TWO_LETTERS.split_ascii_whitespace().collect();
        assert!(words.chunks(2).all(|p| p[0].len() == 3 && p[1].len() == 2));
    }
}
