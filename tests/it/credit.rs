//! Errors that arrive at ports are exact, also where two ports receive the same.

use crate::science::report;

/// How far a rule of errors is from the gradient by a weight, relative to its length.
fn distance(network: &str, weight: &str) -> f64 {
    let text = format!(
        "use std.neurons.{{Tanh, Linear}}\nuse std.objectives.SquaredError\n{network}\n\
         rule Delta {{ dw = post.error * pre.slope }}\n\
         experiment E {{\n  data d = table(x = [[1, 2, 3], [0, 1, -1]], z = [[1, 2], [0, 1]])\n  let net = Net()\n  \
         let change = update(net, Delta, SquaredError(net.y, z) on d)\n  \
         let slope = mean(collect(gradient(SquaredError(net(x), z), net.{weight}) on d), axis = 0)\n  \
         report far = norm(change.{weight} + slope) / norm(slope)\n}}\n"
    );
    report(&text, "far")
}

const PART: &str = "architecture Part {
  input x: real[3]
  population y: Tanh[2]
  connect x -> y: dense()
}
";

#[test]
fn a_part_that_is_used_twice_on_the_same_input_has_two_errors() {
    let net = format!(
        "{PART}architecture Net {{\n  input x: real[3]\n  part enc: Part()\n  output y = enc(x) + 2 * enc(x)\n}}\n"
    );
    let far = distance(&net, "enc.x_y.w");
    assert!(far < 1e-6, "{far}");
}

#[test]
fn what_follows_a_port_by_a_plain_factor_is_no_error_of_another() {
    let net = "architecture Net {
  input x: real[3]
  population a: Linear[2]
  population b: Linear[2]
  population c: Linear[2]
  connect x -> a: dense()
  connect a -> b: one_to_one() via Direct(w = 1)
  connect b -> c: dense()
  output y = a + c
}
";
    for weight in ["x_a.w", "b_c.w"] {
        let far = distance(net, weight);
        assert!(far < 1e-6, "{weight}: {far}");
    }
}
