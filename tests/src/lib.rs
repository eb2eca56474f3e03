//! Tests of the whole language, from text to results; see `it/`, and `ui/` and `run/` for the models that they read.
