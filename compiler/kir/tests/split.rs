//! Where the threads of a cut kernel meet.

use nnm_kir::parse::parse;
use nnm_kir::print::print;
use nnm_kir::split::split;

/// A population whose spikes arrive after some steps: a ring of `copies` lists, written at `write` and read at `read`.
fn network(copies: i64, read: i64, write: i64, between: &str) -> String {
    format!(
        "kernel k f64
        buffer v: f64[100]
        buffer g: f64[100]
        buffer spike: f64[100]
        buffer ptr: u32[101]
        buffer other: u32[900]
        buffer list: u32[{lists}]
        buffer count: i64[{copies}]
        buffer bad: i64[1]
        slot from
        slot to
        body {{
          for i0 in $from .. $to {{
            rows list list[(i0 + {read}) % {copies} * 112] count count[(i0 + {read}) % {copies}] ptr ptr[0] other other[0] {{
              %0 = const 0.5
              addto g[0] other += %0
            }}
            map 100 {{
              %0 = load g[0] unit
              %1 = load v[0] unit
              %2 = add %0 %1
              store v[0] unit = %2
              store spike[0] unit = %2
            }}
            call compact(&list[(i0 + {write}) % {copies} * 112], &count[(i0 + {write}) % {copies}], &spike[0], 100, 100)
            {between}
          }}
        }}",
        lists = copies * 112
    )
}

/// The meetings in a cut kernel's text, those under a condition apart.
fn meetings(text: &str) -> (usize, usize) {
    let cut = split(&parse(text).unwrap(), &nnm_runtime::prims::find, 2).unwrap();
    let text = print(&cut.kernel);
    let depth = |line: &str| line.len() - line.trim_start().len();
    let loops = text.lines().find(|l| l.trim_start().starts_with("for ")).map_or(0, depth);
    let all: Vec<usize> = text.lines().filter(|l| l.contains("call meet")).map(depth).collect();
    let each = all.iter().filter(|d| **d == loops + 2).count();
    (each, all.len() - each)
}

#[test]
fn a_step_with_delays_has_one_meeting() {
    assert_eq!(meetings(&network(3, 2, 1, "")), (1, 0));
    assert_eq!(meetings(&network(8, 1, 0, "")), (1, 0));
}

#[test]
fn what_is_read_in_the_step_after_it_was_written_waits_for_it() {
    // Written by part 0 at `i0 + 1`, and read at `i0` by all in the next step.
    assert_eq!(meetings(&network(3, 0, 1, "")), (2, 0));
    assert_eq!(meetings(&network(1, 0, 0, "")), (2, 0));
}

#[test]
fn looks_now_and_then_cost_the_other_steps_no_meeting() {
    let look = "if i0 % 64 == 0 {
        call find_bad(&bad[0], &v[0], 100)
    }";
    assert_eq!(meetings(&network(3, 2, 1, look)), (1, 1));
    let always = "call find_bad(&bad[0], &v[0], 100)";
    assert_eq!(meetings(&network(3, 2, 1, always)), (2, 0));
}

#[test]
fn populations_of_one_size_have_scratch_memory_of_their_own() {
    let two = "call compact(&list[(i0 + 1) % 3 * 112], &count[(i0 + 1) % 3], &g[0], 100, 100)";
    let text = network(3, 2, 1, two);
    assert_eq!(meetings(&text).0, 1);
    let cut = split(&parse(&text).unwrap(), &nnm_runtime::prims::find, 2).unwrap();
    let lists = cut.kernel.buffers.iter().filter(|b| b.name.ends_with("@lists"));
    assert_eq!(lists.count(), 2);
}
