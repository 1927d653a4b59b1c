//! Each endpoint with each of its store calls failing, before and after the call did its work: a refusal that says when
//! to come back, nothing more permissive left behind, and a second try that mends it.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use crate::faults::{Fault, Faults};
use crate::scenarios;
use crate::world::{Answer, Call, Ground, Jar, Link, PASSWORD, World, get, post};

scenarios![
    a_sign_up,
    a_sign_up_for_a_taken_address,
    a_sign_up_that_throws_a_squatter_out,
    a_verification,
    another_verification_mail,
    a_login,
    a_login_with_a_wrong_password,
    a_login_before_the_verification,
    a_refresh,
    a_refresh_with_a_stolen_token,
    a_logout,
    the_account,
    the_routes_of_the_application,
    a_reset_mail,
    a_reset,
    the_delivery_of_mails,
];

const OTHER: &str = "another good password";
const MINUTE: Duration = Duration::from_secs(60);

/// What follows the deciding write of a flow and does not take it back.
const HOUSEKEEPING: [&str; 2] = ["users.record_login", "attempts.clear"];

/// Sends a request with a fault at each of its store calls, each time in a world of its own, and returns their names.
async fn at_every_call<T>(
    ground: Ground,
    usual: u16,
    prepare: impl AsyncFn(&World) -> (Call, T),
    mend: impl AsyncFn(&World, Call, T),
) -> Vec<&'static str> {
    for number in 0.. {
        for fault in [Fault::FailBefore, Fault::FailAfter] {
            let faults = Faults::default();
            let world = faults.around(ground.world().await, |config| config.policy.timed_limits = true);
            let (call, prepared) = prepare(&world).await;
            faults.stores.at(number, fault);
            let answer = if call.path.starts_with("/api/") {
                world.send(call.clone()).await
            } else {
                world.app(call.clone()).await
            };
            faults.stores.heal();
            let calls = faults.stores.calls();
            if calls.len() <= number || HOUSEKEEPING.contains(&calls[number]) {
                assert_eq!(answer.status.as_u16(), usual, "{calls:?} {answer:?}");
            } else {
                unavailable(&answer);
            }
            if calls.len() <= number {
                return calls;
            }
            mend(&world, call, prepared).await;
        }
    }
    unreachable!("a request has an end")
}

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.refused(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.set_cookies(), [""; 0], "no session is given and none taken away");
}

async fn is_open(world: &World, password: &str) -> bool {
    world.log_in("ada@example.org", password).await.status == 200
}

/// The session and whatever was made of its tokens is dead, here and elsewhere.
async fn assert_dead(world: &World, jar: &Jar) {
    world.advance(Duration::from_secs(2));
    for world in [world, &world.restarted(|_| {}).await] {
        world.me(jar).await.refused(401, "not_authenticated");
        world.refresh(jar).await.refused(401, "refresh_invalid");
    }
}

fn sign_up(password: &str) -> Call {
    post("signup/").json(json!({ "email": "ada@example.org", "password": password }))
}

fn login(password: &str) -> Call {
    post("login/").json(json!({ "email": "ada@example.org", "password": password }))
}

async fn a_sign_up(ground: Ground) {
    let prepare = async |_: &World| (sign_up(PASSWORD), ());
    let calls = at_every_call(ground, 201, prepare, async |world, call, ()| {
        assert!(!is_open(world, PASSWORD).await);
        assert_eq!(world.send(call).await.status, 201);
        let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
        assert_eq!(world.send(link.verify()).await.status, 200);
        assert!(is_open(world, PASSWORD).await);
    });
    let looks = ["attempts.hit", "attempts.hit", "credentials.find_by_key", "users.find"];
    let writes = ["users.dummy_write", "users.insert", "attempts.draw", "outbox.enqueue"];
    assert_eq!(calls.await, [&looks[..], &writes].concat());
}

async fn a_sign_up_for_a_taken_address(ground: Ground) {
    let prepare = async |world: &World| {
        world.account("ada@example.org").await;
        (sign_up(OTHER), ())
    };
    at_every_call(ground, 201, prepare, async |world, call, ()| {
        assert_eq!(world.send(call).await.status, 201);
        assert!(world.mails().await.iter().any(|mail| mail.purpose == MailPurpose::AccountExists));
        assert!(is_open(world, PASSWORD).await && !is_open(world, OTHER).await);
    })
    .await;
}

async fn a_sign_up_that_throws_a_squatter_out(ground: Ground) {
    let prepare = async |world: &World| {
        world.sign_up("ada@example.org", OTHER).await;
        world.mails().await;
        (sign_up(PASSWORD), ())
    };
    let calls = at_every_call(ground, 201, prepare, async |world, call, ()| {
        assert_eq!(world.send(call).await.status, 201);
        let link = world.link("ada@example.org", MailPurpose::SetPassword).await;
        assert_eq!(world.send(link.set_password("the owner's own")).await.status, 200);
        assert!(is_open(world, "the owner's own").await && !is_open(world, OTHER).await);
    });
    assert!(calls.await.contains(&"users.update_if"));
}

async fn verification(world: &World) -> Link {
    world.sign_up("ada@example.org", PASSWORD).await;
    world.link("ada@example.org", MailPurpose::VerifyEmail).await
}

async fn a_verification(ground: Ground) {
    let prepare = async |world: &World| (verification(world).await.verify(), ());
    at_every_call(ground, 200, prepare, async |world, call, ()| {
        let again = world.send(call).await;
        assert!(again.status == 200 || again.json()["code"] == "already_verified", "{again:?}");
        assert!(is_open(world, PASSWORD).await);
    })
    .await;
}

async fn another_verification_mail(ground: Ground) {
    let prepare = async |world: &World| {
        verification(world).await;
        (post("resend-verification/").json(json!({ "email": "ada@example.org" })), ())
    };
    at_every_call(ground, 200, prepare, async |world, call, ()| {
        assert_eq!(world.send(call).await.status, 200);
        let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
        assert_eq!(world.send(link.verify()).await.status, 200);
    })
    .await;
}

async fn a_login(ground: Ground) {
    let prepare = async |world: &World| {
        world.account("ada@example.org").await;
        (login(PASSWORD), ())
    };
    let calls = at_every_call(ground, 200, prepare, async |world, call, ()| {
        let jar = world.send(call).await.jar();
        assert_eq!(world.me(&jar).await.status, 200);
        assert!(!is_open(world, OTHER).await);
    });
    let calls = calls.await;
    assert!(HOUSEKEEPING.iter().all(|call| calls.contains(call)), "{calls:?}");
}

async fn a_login_with_a_wrong_password(ground: Ground) {
    let prepare = async |world: &World| {
        world.account("ada@example.org").await;
        (login(OTHER), ())
    };
    let calls = at_every_call(ground, 401, prepare, async |world, call, ()| {
        world.send(call).await.refused(401, "invalid_credentials");
        assert!(is_open(world, PASSWORD).await);
    });
    assert!(calls.await.contains(&"users.count_failure"));
}

async fn a_login_before_the_verification(ground: Ground) {
    let prepare = async |world: &World| {
        verification(world).await;
        (login(PASSWORD), ())
    };
    at_every_call(ground, 401, prepare, async |world, call, ()| {
        world.send(call).await.refused(401, "invalid_credentials");
        let link = world.link("ada@example.org", MailPurpose::VerifyEmail).await;
        assert_eq!(world.send(link.verify()).await.status, 200);
        assert!(is_open(world, PASSWORD).await);
    })
    .await;
}

async fn logged_in(world: &World) -> Jar {
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.advance(MINUTE);
    jar
}

async fn a_refresh(ground: Ground) {
    let prepare = async |world: &World| (post("refresh/").jar(&logged_in(world).await), ());
    let calls = at_every_call(ground, 200, prepare, async |world, call, ()| {
        let first = world.send(call.clone()).await;
        assert_eq!(world.me(&first.jar()).await.status, 200);
        assert_eq!(world.send(call).await.set_cookies(), first.set_cookies(), "the same bytes");
    });
    assert!(calls.await.ends_with(&["sessions.find", "users.find", "sessions.rotate_if"]));
}

async fn a_refresh_with_a_stolen_token(ground: Ground) {
    let prepare = async |world: &World| {
        let stolen = logged_in(world).await;
        let newer = world.refresh(&stolen).await.jar();
        world.advance(2 * MINUTE);
        (post("refresh/").jar(&stolen), newer)
    };
    let calls = at_every_call(ground, 401, prepare, async |world, call, newer| {
        world.send(call).await.refused(401, "refresh_invalid");
        assert_dead(world, &newer).await;
    });
    assert!(calls.await.ends_with(&["sessions.revoke"]));
}

async fn a_logout(ground: Ground) {
    let prepare = async |world: &World| {
        let jar = logged_in(world).await;
        (post("logout/").jar(&jar), jar)
    };
    at_every_call(ground, 200, prepare, async |world, call, jar| {
        let again = world.send(call).await;
        assert!([200, 401].contains(&again.status.as_u16()), "{again:?}");
        assert_dead(world, &jar).await;
    })
    .await;
}

async fn the_account(ground: Ground) {
    let prepare = async |world: &World| (get("me/").jar(&logged_in(world).await), ());
    let calls = at_every_call(ground, 200, prepare, async |world, call, ()| {
        assert_eq!(world.send(call).await.status, 200);
    });
    assert_eq!(calls.await, ["users.changes", "sessions.revocations", "users.find"]);
}

async fn the_routes_of_the_application(ground: Ground) {
    for path in ["/whoami", "/maybe", "/required"] {
        let prepare = async |world: &World| (get(path).jar(&logged_in(world).await), ());
        let calls = at_every_call(ground, 200, prepare, async |world, call, ()| {
            assert_eq!(world.app(call).await.status, 200);
        });
        assert_eq!(calls.await, ["users.changes", "sessions.revocations"]);
    }
}

async fn a_reset_mail(ground: Ground) {
    let prepare = async |world: &World| {
        world.account("ada@example.org").await;
        (post("password-reset/").json(json!({ "email": "ada@example.org" })), ())
    };
    at_every_call(ground, 200, prepare, async |world, call, ()| {
        assert_eq!(world.send(call).await.status, 200);
        let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        assert_eq!(world.send(link.set_password(OTHER)).await.status, 200);
    })
    .await;
}

async fn a_reset(ground: Ground) {
    let prepare = async |world: &World| {
        world.account("ada@example.org").await;
        world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
        let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        let jar = world.session("ada@example.org").await;
        (link.set_password(OTHER), jar)
    };
    at_every_call(ground, 200, prepare, async |world, call, jar| {
        let (old, new) = (is_open(world, PASSWORD).await, is_open(world, OTHER).await);
        assert_ne!(old, new);
        let again = world.send(call).await;
        assert!(if new { again.json()["code"] == "link_invalid" } else { again.status == 200 }, "{again:?}");
        assert!(!is_open(world, PASSWORD).await && is_open(world, OTHER).await);
        assert_dead(world, &jar).await;
    })
    .await;
}

async fn the_delivery_of_mails(ground: Ground) {
    let addresses = ["ada@example.org", "bob@example.org"];
    for number in 0.. {
        for fault in [Fault::FailBefore, Fault::FailAfter] {
            let faults = Faults::default();
            let world = faults.around(ground.world().await, |_| {});
            for address in addresses {
                world.sign_up(address, PASSWORD).await;
            }
            faults.stores.at(number, fault);
            let delivered = world.auth.system().deliver_mail().await;
            faults.stores.heal();
            let calls = faults.stores.calls().len();
            // A lease, or the first pause.
            world.advance(Duration::from_secs(120));
            let mut sent: Vec<_> = world.mails().await.into_iter().map(|mail| mail.to).collect();
            sent.sort();
            sent.dedup();
            assert_eq!(sent, addresses);
            if calls <= number {
                assert!(delivered.is_ok());
                return;
            }
        }
    }
}
