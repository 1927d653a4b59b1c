//! The flows under random operations of two principals, beside a model: what is alive in the model is exactly what
//! authenticates and refreshes. Then the same with crashes: each leaves every account as before or as after.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a step that fails fails its test")]

#[path = "../common/mod.rs"]
mod common;
mod flows;
#[path = "mod.rs"]
mod model;

use common::{World, now};
use flows::Flows;
use model::ops::{self, Deed, deed};
use model::run::Run;
use proptest::prelude::*;

fn live(life: &[Deed]) {
    now(Run::new(Flows::of(World::new())).live(life));
}

proptest! {
    #![proptest_config(ops::config(250))]

    #[test]
    fn what_is_alive_in_the_model_is_what_authenticates(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(false), 1..40),
    ) {
        live(&[start, deeds].concat());
    }

    #[test]
    fn a_crash_leaves_each_account_as_before_or_as_after(
        start in ops::start(),
        deeds in proptest::collection::vec(deed(true), 1..40),
    ) {
        live(&[start, deeds].concat());
    }
}

#[test]
fn a_way_to_a_password_that_broke_off_does_not_replace_that_of_a_dispute() {
    use common::{Fault, MINUTE};
    use model::ops::{Kind, Mover, Op};
    let before = [
        Op::SignUp(0, 0),
        Op::UseLink(Kind::Verify, 0, 0),
        Op::Login(0, 0),
        Op::SetUp(0, false),
        Op::Enable(0, 0),
        Op::Pass(MINUTE),
        Op::AskEmail(1, 1, None),
        Op::Move(2, Mover::Session(1)),
        Op::UseLink(Kind::NotMe, 3, 0),
        Op::ResetFactors(0),
    ];
    let mut life: Vec<_> = before.into_iter().map(|op| (op, None)).collect();
    life.push((Op::UseLink(Kind::NotMe, 1, 0), Some((3, Fault::HangBefore))));
    life.push((Op::Object(4, None), None));
    life.push((Op::Pass(MINUTE), None));
    now(Run::new(Flows::of(World::new())).live_again(&life));
}
