//! One file a kind of picture; each turns its data into a finished sheet.

pub mod bar;
pub mod confusion;
pub mod filters;
pub mod histogram;
pub mod line;
pub mod matrix;
pub mod raster;
pub mod scatter;
pub mod traces;
