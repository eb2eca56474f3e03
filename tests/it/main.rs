//! Tests of the language as a whole: messages, models, back ends, documentation, robustness, and the order of the crates.

mod activity;
mod arrays;
mod backends;
mod cells;
mod conformance;
mod control;
mod credit;
mod delays;
mod determinism;
mod docs;
mod dynamics;
mod habits;
mod layers;
mod library;
mod models;
mod pages;
mod published;
mod recordings;
mod robust;
mod science;
mod simulation;
mod stages;
mod support;
mod ui;
mod unsaid;
