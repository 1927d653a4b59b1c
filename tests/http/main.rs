//! Behaviour through the public door: every scenario over HTTP, through each adapter, on each store.

mod arbitrary;
mod bad_body;
mod bad_input;
mod conventions;
mod cookies;
mod cross_origin;
mod faults;
mod layer;
mod login;
mod logout;
mod me;
mod password_reset;
mod races;
mod refresh;
mod routing;
mod signup;
mod verify_email;
mod world;
