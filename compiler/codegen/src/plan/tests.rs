use super::*;
use nnm_kir::ir::Stmt;
use nnm_kir::parse::parse;

fn planned(body: &str, extent: Extent) -> Plan {
    let text = format!(
        "kernel k f64\nbuffer x: f64[512]\nbuffer y: f64[512]\nbuffer z: f32[512]\nbody {{\nmap 512 {{\n{body}\n}}\n}}"
    );
    let kernel = parse(&text).unwrap();
    let Stmt::Map(map) = &kernel.body[0] else { panic!("a map") };
    plan(&kernel, &map.body, extent)
}

fn lens(plan: &Plan) -> (Vec<usize>, Vec<usize>) {
    (plan.boundaries.iter().map(Vec::len).collect(), plan.segments.iter().map(|segment| segment.items.len()).collect())
}

#[test]
fn a_map_without_calls_is_one_segment() {
    let plan = planned("%0 = load x[0] unit\n%1 = const 2.0\n%2 = mul %0 %1\nstore x[0] unit = %2", Extent::Many);
    assert!(!plan.has_calls());
    assert_eq!(lens(&plan), (vec![0, 0], vec![3]));
    assert_eq!((plan.tiles, plan.uniform), (0, vec![false, true, false, false]));
}

/// `y = exp(x)` needs no scratch tile and no loop.
#[test]
fn a_call_reads_and_writes_buffers_in_place() {
    let plan = planned("%0 = load x[0] unit\n%1 = exp %0\nstore y[0] unit = %1", Extent::Many);
    assert_eq!(lens(&plan), (vec![1, 0], vec![0]));
    let call = &plan.boundaries[0][0];
    assert_eq!((&call.args[..], call.result, plan.tiles), (&[Home::Place(Val(0))][..], Home::Place(Val(2)), 0));
}

/// A result is not written where the map still loads the old value, and a converted argument needs a copy.
#[test]
fn a_call_takes_scratch_tiles_where_it_must() {
    let in_place = planned(
        "%0 = load x[0] unit\n%1 = exp %0\n%2 = add %0 %1\nstore y[0] unit = %1\nstore x[0] unit = %2",
        Extent::Many,
    );
    assert_eq!(in_place.boundaries[0][0].result, Home::Place(Val(3)));
    let needed = planned(
        "%0 = load x[0] unit\n%1 = exp %0\n%2 = add %0 %1\nstore x[0] unit = %1\nstore y[0] unit = %2",
        Extent::Many,
    );
    assert_eq!(needed.boundaries[0][0].result, Home::Tile(0));
    let converted = planned("%0 = load z[0] unit\n%1 = exp %0\nstore y[0] unit = %1", Extent::Many);
    assert_eq!(converted.boundaries[1][0].args, [Home::Tile(0)]);
}

/// Independent calls share a boundary; what depends on them makes the next one.
#[test]
fn calls_of_one_level_share_a_boundary() {
    let body = "%0 = load x[0] unit\n%1 = neg %0\n%2 = exp %1\n%3 = abs %0\n%4 = log %3\n%5 = add %2 %4\n%6 = tanh %5\nstore x[0] unit = %6";
    let plan = planned(body, Extent::Many);
    assert_eq!(lens(&plan).0, [0, 2, 1, 0]);
    // two arguments' tiles are taken over by the results, the third by the last
    assert_eq!(plan.tiles, 3);
}

/// In a short map two calls of one function are made at once, on neighbouring tiles.
#[test]
fn short_maps_make_calls_together() {
    let body = "%0 = load x[0] unit\n%1 = neg %0\n%2 = exp %1\n%3 = exp %0\n%4 = add %2 %3\nstore x[0] unit = %4";
    let plan = planned(body, Extent::Few);
    assert_eq!(lens(&plan).0, [0, 1, 0]);
    let call = &plan.boundaries[1][0];
    assert_eq!((&call.args[..], call.result, call.tiles), (&[Home::Tile(0)][..], Home::Tile(2), 2));
    assert_eq!(lens(&planned(body, Extent::Many)).0, [1, 1, 0]);
}

/// Of one element, three arguments take four tiles: block functions take four at once.
#[test]
fn single_elements_are_rounded_up_to_what_is_taken_at_once() {
    let body = "%0 = load x[0] unit\n%1 = exp %0\n%2 = neg %0\n%3 = exp %2\n%4 = abs %0\n%5 = exp %4\n%6 = add %1 %3\n%7 = add %5 %6\nstore y[0] unit = %7";
    let tiles = |extent| planned(body, extent).boundaries[1][0].tiles;
    assert_eq!([tiles(Extent::One), tiles(Extent::Few)], [4, 3]);
}

/// A store waits for the last segment that loads the old value.
#[test]
fn stores_wait_for_loads_of_old_values() {
    let body = "%0 = load x[0] unit\n%1 = const 2.0\n%2 = mul %0 %1\nstore x[0] unit = %2\n%4 = neg %0\n%5 = exp %4\n%6 = mul %5 %0\nstore y[0] unit = %6";
    let plan = planned(body, Extent::Many);
    let last = plan.segments.last().unwrap();
    let places = |wanted: Val| last.items.iter().position(|item| *item == Item::Compute(wanted));
    assert!(places(Val(3)).is_some() && places(Val(0)) < places(Val(3)), "{plan:?}");
}
