mod context;
mod end;
mod partitions;
mod producers;
mod replay;
mod simulation;
mod time_outs;
