//! Messages to account owners: queued by a flow, composed and sent by the worker.

mod compose;
mod deliver;
mod queue;

pub use deliver::Delivery;
