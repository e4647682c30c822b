//! RxPulse turns public customer posts into decision-ready tables.
//!
//! The map of the house. [`graph`] is pure and knows what is stale and why. [`config`] turns
//! the files a person wrote into a checked project, with [`sql`] and [`classify`] for what
//! stands inside them. [`http`] is the one way out to the network. [`source`] captures posts
//! as [`envelope`]s; [`lake`] keeps bronze and tables; [`engine`] runs SQL and [`enrich`] reads
//! posts; [`check`] looks at rows before they are published. [`exec`] carries out a plan,
//! [`state`] remembers what happened as [`event`]s, [`run_view`] folds them for whoever
//! watches, [`output`] prints, [`cli`] takes commands, and [`project`] wires everything.
//! Imports run one way: `cli → project → exec → rooms → graph`.

pub mod check;
pub mod classify;
pub mod cli;
pub mod config;
pub mod crash;
pub mod diagnostic;
pub mod engine;
pub mod enrich;
pub mod envelope;
pub mod event;
pub mod exec;
pub mod graph;
pub mod http;
pub mod lake;
pub mod output;
pub mod project;
pub mod run_view;
pub mod scratch;
pub mod source;
pub mod sql;
pub mod state;
pub mod tui;
