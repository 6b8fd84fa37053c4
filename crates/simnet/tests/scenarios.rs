//! No scenario gets worse than recorded in `bounds.toml`. What fails prints the command that replays it.

use simnet::{SCENARIOS, bounds, misses, run, scenario};

#[expect(clippy::print_stdout, reason = "what a test shows")]
fn holds(name: &str) {
    let scenario = scenario(name).expect("a scenario of that name");
    let report = scenario.recorded();
    println!("{report}");
    let bound = bounds(name).expect("bounds.toml names every scenario");
    let misses = misses(&report, &bound);
    assert!(misses.is_empty(), "{}\n{report}", misses.join("\n"));
}

macro_rules! scenarios {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_scenario_is_played() {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

scenarios! {
    a_cold_start "cold-start"
    four_slow_seeders "four-slow-seeders"
    one_of_four_is_slow "one-slow-of-four"
    four_seeders_that_send_in_gusts "four-gusty-seeders"
    a_seek_into_a_hole "seek-into-a-hole"
    one_fast_among_thirty_slow "one-fast-thirty-slow"
    peers_come_and_go "churn"
    peers_choke "choking-peers"
    peers_lie "corrupt-peers"
    a_peer_stalls_inside_the_urgent_piece "stall-in-urgent-piece"
    pieces_of_16_mib "large-pieces"
    two_readers "two-readers"
    a_flash_crowd_of_200 "flash-crowd"
}

#[test]
fn a_seed_replays() {
    let scenario = scenario("churn").unwrap();
    let shown = |seed| format!("{:?}", run(scenario, seed));
    assert_eq!(shown(5), shown(5));
    assert_ne!(shown(5), shown(6));
}
