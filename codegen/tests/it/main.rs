//! The interpreting codec with all of the vendored schemas.

mod fixtures;
mod round_trip;
mod vectors;
