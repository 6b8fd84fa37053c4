//! Floors: arrows between crates go strictly down, and some rooms have no door between them (docs/design/0001-floors.md).

use std::collections::BTreeSet;

use crate::house::House;

/// The floor of tools and test helpers: no product crate needs one.
const DEV: &str = "dev";

/// Pairs that never meet, not even through others: (who, whom).
const STRANGERS: &[(&str, &str)] =
    &[("media", "engine"), ("engine", "media"), ("media", "libav"), ("http-api", "libav")];

/// Packages with one home: (the start of the package's name, the only crate that may name it).
const HOMES: &[(&str, &str)] =
    &[("sqlx", "db"), ("rusqlite", "db"), ("ffmpeg", "libav"), ("rsmpeg", "libav"), ("libloading", "libav")];

pub(crate) fn check(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, found) in &house.crates {
        let Some(floor) = found.floor.as_deref() else {
            complaints.push(format!("{name}: no [package.metadata.headwater] floor"));
            continue;
        };
        if floor != DEV && parse(floor).is_none() {
            complaints.push(format!("{name}: floor {floor:?} is neither a number nor {DEV:?}"));
            continue;
        }
        for (needed, only_tests) in
            found.needs.iter().map(|n| (n, false)).chain(found.tests_need.iter().map(|n| (n, true)))
        {
            let below = house.crates.get(needed).and_then(|c| c.floor.as_deref()).unwrap_or_default();
            let fine = floor == DEV
                || (below == DEV && only_tests)
                || matches!((parse(floor), parse(below)), (Some(here), Some(there)) if there < here);
            if !fine {
                complaints.push(format!(
                    "{name} (floor {floor}) needs {needed} (floor {below}): an arrow goes down"
                ));
            }
        }
        for (package, home) in HOMES {
            if name != home && found.names.iter().any(|n| n.starts_with(package)) {
                complaints.push(format!("{name} names {package}, which only {home} may"));
            }
        }
    }
    for (who, whom) in STRANGERS {
        if reaches(house, who, whom) {
            complaints.push(format!("{who} reaches {whom}: these two never meet"));
        }
    }
    complaints
}

/// `"4.1"` as (4, 1); `"4"` is `"4.0"`.
fn parse(floor: &str) -> Option<(u8, u8)> {
    let (whole, half) = floor.split_once('.').unwrap_or((floor, "0"));
    Some((whole.parse().ok()?, half.parse().ok()?))
}

fn reaches(house: &House, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if let Some(found) = house.crates.get(name).filter(|_| seen.insert(name)) {
            open.extend(found.needs.iter().map(String::as_str));
        }
    }
    from != to && seen.contains(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::Crate;

    fn house(crates: &[(&str, &str, &[&str])]) -> House {
        let mut house = House::default();
        for (name, floor, needs) in crates {
            let needs = needs.iter().map(|n| (*n).to_owned()).collect();
            let found = Crate { floor: Some((*floor).to_owned()), needs, ..Crate::default() };
            house.crates.insert((*name).to_owned(), found);
        }
        house
    }

    #[test]
    fn arrows_that_go_down_pass_half_floors_included() {
        let house = house(&[
            ("packager", "4.1", &["container"]),
            ("container", "4.0", &["bytes"]),
            ("bytes", "0", &[]),
        ]);
        assert_eq!(check(&house), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_up_and_one_along_the_floor_are_named() {
        let up = check(&house(&[("container", "4.0", &["packager"]), ("packager", "4.1", &[])]));
        assert_eq!(up, ["container (floor 4.0) needs packager (floor 4.1): an arrow goes down"]);
        let along = check(&house(&[("a", "2", &["b"]), ("b", "2", &[])]));
        assert_eq!(along.len(), 1);
    }

    #[test]
    fn ten_is_above_nine() {
        assert_eq!(check(&house(&[("a", "4.10", &["b"]), ("b", "4.9", &[])])), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_floor_is_named() {
        let mut house = house(&[("a", "1", &[])]);
        house.crates.insert("b".into(), Crate::default());
        assert_eq!(check(&house), ["b: no [package.metadata.headwater] floor"]);
    }

    #[test]
    fn product_code_needs_no_dev_crate_but_its_tests_may() {
        let mut house = house(&[("a", "1", &["sim"]), ("sim", "dev", &[])]);
        assert_eq!(check(&house).len(), 1);
        let a = house.crates.get_mut("a").unwrap();
        a.tests_need = std::mem::take(&mut a.needs);
        assert_eq!(check(&house), Vec::<String>::new());
    }

    #[test]
    fn media_and_engine_never_meet_not_even_through_a_third() {
        let house =
            house(&[("media", "5", &["between"]), ("between", "4", &["engine"]), ("engine", "3", &[])]);
        assert_eq!(check(&house), ["media reaches engine: these two never meet"]);
    }

    #[test]
    fn sql_outside_its_home_is_named() {
        let mut house = house(&[("library", "6", &[])]);
        house.crates.get_mut("library").unwrap().names.insert("sqlx".into());
        assert_eq!(check(&house), ["library names sqlx, which only db may"]);
    }
}
