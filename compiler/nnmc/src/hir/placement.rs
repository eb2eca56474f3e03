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
    ("dw", &["rule"]),
    ("dW", &["rule"]),
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

/// A statement as messages name it: by its first word, or by what it is where it has none.
pub fn said(statement: &str) -> String {
    match statement {
        "equation" => "an equation".into(),
        "assignment" => "an assignment".into(),
        "trace" => "a trace".into(),
        "dw" | "dW" => format!("`{statement} = …`"),
        word => format!("`{word}`"),
    }
}

/// A sentence about what may stand in a declaration.
pub fn contents(declaration: &str) -> String {
    let words: Vec<String> =
        TABLE.iter().filter(|(_, homes)| homes.contains(&declaration)).map(|(s, _)| contained(s)).collect();
    words.join(", ")
}

/// A statement in a list of what may stand somewhere.
fn contained(statement: &str) -> String {
    match statement {
        "equation" => "equations (`x' = …`)".into(),
        "trace" => "`pre trace`, `post trace`".into(),
        word => said(word),
    }
}
