//! What the playlists say is what the segments hold.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use anyhow::{Context, Result, ensure};
use common::{House, is_matroska};
use e2e::{
    boxes,
    film::{Rendition, every, master},
    fixtures,
};

#[test]
fn durations_are_those_of_the_samples() {
    let house = House::open(false);
    every(&fixtures::good().unwrap(), |film| {
        let mut ends = Vec::new();
        for path in renditions(&house, film)? {
            let rendition = Rendition::fetch(house.server.address, &path)?;
            ends.push(check(&rendition).with_context(|| path.clone())?);
        }
        ensure!(!ends.is_empty(), "no rendition");
        Ok(())
    });
}

/// EXTINF against `trun`, `tfdt` against what came before, TARGETDURATION against both. Gives the end in seconds.
fn check(rendition: &Rendition) -> Result<f64> {
    let playlist = &rendition.playlist;
    ensure!(playlist.ended, "no EXT-X-ENDLIST");
    let timescale = f64::from(boxes::timescale(&rendition.init)?);
    let fragments = rendition.fragments()?;
    let mut listed = 0.0;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a short film")]
    let seconds = |ticks: u64| ticks as f64 / timescale;
    for (n, (fragment, segment)) in fragments.iter().zip(&playlist.segments).enumerate() {
        let begin = seconds(fragment.base);
        let measured = seconds(fragment.duration());
        // A late track's first segment begins at 0 on the playlist and at its first sample in the file.
        let lead = if n == 0 { begin } else { 0.0 };
        ensure!(
            (segment.duration - measured - lead).abs() <= 0.001,
            "segment {n}: EXTINF {} s, measured {measured:.6} s",
            segment.duration
        );
        ensure!(
            (listed + lead - begin).abs() <= 0.001,
            "segment {n}: begins at {begin:.6} s, the playlist says {listed:.6} s"
        );
        ensure!(
            segment.duration.round() <= playlist.target,
            "segment {n}: EXTINF {} s, target {}",
            segment.duration,
            playlist.target
        );
        if let Some(next) = fragments.get(n + 1) {
            ensure!(
                next.base == fragment.base + fragment.duration(),
                "segment {n} ends at tick {}, the next begins at {}",
                fragment.base + fragment.duration(),
                next.base
            );
        }
        listed += segment.duration;
    }
    let last = fragments.last().context("no segment")?;
    let end = seconds(last.base + last.duration());
    ensure!((listed - end).abs() <= 0.001, "the playlist lasts {listed:.6} s, its samples {end:.6} s");
    Ok(end)
}

#[test]
fn bandwidth_is_neither_less_nor_much_more_than_the_peak() {
    let house = House::open(false);
    every(&fixtures::good().unwrap(), |film| {
        let address = house.server.address;
        let master = master(address, house.id(film)?, "fmp4")?;
        for variant in &master.variants {
            let video = Rendition::fetch(address, variant.uri.as_deref().context("no URI")?)?;
            let mut peak = peak(&video);
            let group = variant.get("AUDIO");
            let mut sound = 0.0_f64;
            for media in master.media.iter().filter(|m| {
                group.is_some() && m.get("GROUP-ID") == group && m.get("TYPE").as_deref() == Some("AUDIO")
            }) {
                // A film without pictures is its sound: one rendition, not two.
                if let Some(uri) = media.uri.as_ref().filter(|uri| variant.uri.as_ref() != Some(*uri)) {
                    sound = sound.max(self::peak(&Rendition::fetch(address, uri)?));
                }
            }
            peak += sound;
            let stated: f64 = variant.get("BANDWIDTH").context("no BANDWIDTH")?.parse()?;
            ensure!(stated >= peak * 0.95, "BANDWIDTH {stated:.0}, measured {peak:.0}");
            // Matroska says where clusters begin, not what is in them: its figure may hold the other tracks' bytes too.
            let most = if is_matroska(film) { 2.5 } else { 1.10 };
            ensure!(stated <= peak * most + 20_000.0, "BANDWIDTH {stated:.0}, measured only {peak:.0}");
            let average: f64 = variant.get("AVERAGE-BANDWIDTH").context("no AVERAGE-BANDWIDTH")?.parse()?;
            ensure!(average <= stated, "AVERAGE-BANDWIDTH {average} above BANDWIDTH {stated}");
        }
        Ok(())
    });
}

/// Bits per second of the largest segment by rate.
fn peak(rendition: &Rendition) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "bytes of a segment")]
    let rate =
        |(bytes, segment): (&Vec<u8>, &e2e::playlist::Segment)| bytes.len() as f64 * 8.0 / segment.duration;
    rendition.segments.iter().zip(&rendition.playlist.segments).map(rate).fold(0.0, f64::max)
}

fn renditions(house: &House, film: &std::path::Path) -> Result<Vec<String>> {
    let master = master(house.server.address, house.id(film)?, "fmp4")?;
    let audio = master.media.iter().filter(|m| m.get("TYPE").as_deref() == Some("AUDIO"));
    let mut paths: Vec<String> = master.variants.iter().chain(audio).filter_map(|e| e.uri.clone()).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[test]
fn a_dash_manifest_lists_the_same_segments() {
    let house = House::open(false);
    every(&fixtures::good().unwrap(), |film| {
        let mpd = e2e::film::text(house.server.address, &house.path(film, "manifest.mpd")?)?;
        ensure!(
            mpd.contains("<SegmentTimeline>") && mpd.contains("type=\"static\""),
            "no static SegmentTimeline"
        );
        for path in renditions(&house, film)? {
            let rendition = Rendition::fetch(house.server.address, &path)?;
            let fragments = rendition.fragments()?;
            let first = fragments.first().context("no segment")?;
            let covers = format!("t=\"0\" d=\"{}\"", first.base + first.duration());
            ensure!(mpd.contains(&covers), "{path}: no <S {covers}>");
        }
        Ok(())
    });
}
