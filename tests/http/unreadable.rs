//! A row that this build cannot read, damaged or of a newer build, shuts its own account and no other.

use auth_system::auth_core::testing::ManualClock;

use crate::place::Place;
use crate::scenarios;
use crate::world::{Ground, PASSWORD};

scenarios![@kept an_unreadable_account_is_shut_and_blinds_nobody];

async fn an_unreadable_account_is_shut_and_blinds_nobody(ground: Ground) {
    let place = Place::of(ground.store, &ManualClock::new()).await;
    let world = ground.world_at(place.clone(), |_| {}).await;
    let mut jars = Vec::new();
    for name in ["ada", "eve", "zoe"] {
        let email = format!("{name}@example.org");
        world.account(&email).await;
        jars.push(world.session(&email).await);
    }
    let change = "changed_at = (SELECT MAX(changed_at) FROM auth_users)";
    let damaged =
        place.run(&format!("UPDATE auth_users SET token_version = -1, {change} WHERE email LIKE 'eve@%'")).await;
    assert_eq!(damaged, 1);
    // A node that has just started, and one that has run for a while.
    world.advance(std::time::Duration::from_secs(2));
    for world in [&world.restarted(|_| {}).await, &world] {
        for (index, jar) in jars.iter().enumerate() {
            let status = world.app(crate::world::get("/whoami").jar(jar)).await.status.as_u16();
            assert_eq!(status, if index == 1 { 401 } else { 200 }, "account {index}");
        }
        assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200);
    }
}
