//! Which statement may stand in which declaration.

/// `(statement, declarations that it belongs in)`
const TABLE: &[(&str, &[&str])] = &[
    ("param", &["neuron", "synapse", "rule", "optimizer", "architecture", "environment"]),
    ("weight", &["neuron", "synapse", "architecture"]),
    ("input", &["neuron", "architecture"]),
    ("state", &["neuron", "synapse", "rule", "optimizer", "environment"]),
    ("running", &["neuron", "rule"]),
    ("let", &["neuron", "synapse", "rule", "optimizer", "architecture", "environment", "experiment"]),
    ("output", &["neuron", "synapse", "architecture"]),
    ("equation", &["neuron", "synapse", "rule", "environment"]),
    ("next", &["neuron", "synapse", "rule", "optimizer", "environment"]),
    ("spike", &["neuron"]),
    ("when", &["neuron"]),
    ("on", &["neuron", "synapse", "rule"]),
    ("every", &["neuron", "rule", "experiment"]),
    ("solve", &["neuron", "synapse", "environment"]),
    ("trace", &["rule"]),
    ("modulator", &["rule"]),
    ("const", &["rule"]),
    ("noise", &["rule"]),
    ("feedback", &["rule"]),
    ("perturbed", &["rule"]),
    ("settle", &["rule", "experiment"]),
    ("bound", &["rule"]),
    ("normalize", &["rule"]),
    ("change", &["optimizer"]),
    ("population", &["architecture"]),
    ("part", &["architecture"]),
    ("latent", &["architecture"]),
    ("connect", &["architecture"]),
    ("for", &["architecture", "experiment"]),
    ("term", &["objective"]),
    ("action", &["environment"]),
    ("observe", &["environment"]),
    ("reward", &["environment"]),
    ("done", &["environment"]),
];

/// Where a statement belongs; what is not listed belongs in an experiment.
pub fn homes(statement: &str) -> &'static [&'static str] {
    TABLE.iter().find(|(s, _)| *s == statement).map_or(&["experiment"], |(_, homes)| homes)
}

/// A sentence about what may stand in a declaration.
pub fn contents(declaration: &str) -> String {
    let words: Vec<String> =
        TABLE.iter().filter(|(_, homes)| homes.contains(&declaration)).map(|(s, _)| format!("`{s}`")).collect();
    words.join(", ")
}
