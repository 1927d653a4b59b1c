//! Every endpoint of the table with every kind of session. The endpoints, and the scopes that they take, are read from the
//! OpenAPI document, which is made from the table.

use auth_system::auth_core::port::Clock as _;
use auth_system::auth_core::port::{NewUser, UserInsert, UserKey};
use auth_system::auth_core::proof::Authenticated;
use auth_system::auth_core::types::{
    Attributes, AuthMethods, Channel, Client, Email, TenantId, TokenVersion, User, UserId,
};
use auth_system::operation::{Answer, Method, Operation, StatusCode};
use auth_system::{Auth, Config};
use serde_json::{Value, json};

use crate::faults::Faults;
use crate::scenarios;
use crate::world::{self, Authenticator, Ground, Jar, PASSWORD, World, call, get};

scenarios![
    an_endpoint_takes_the_sessions_that_its_row_states,
    a_route_of_the_application_takes_an_enrolling_user_only_where_it_asks_for_one,
];

/// A row of the table: whether it asks for a session, and of which scopes.
struct Row {
    method: Method,
    path: String,
    scopes: Vec<String>,
}

fn enrolment(config: &mut Config) {
    config.policy.require_second_factor = true;
    config.openapi = true;
}

/// The account system with rows of the application's own: new, wrapped and replaced ones.
fn with_own_rows(world: &World) -> Auth {
    let mut config = world::config();
    enrolment(&mut config);
    let builder = Faults::default().builder(world, config).operations(|table| {
        let own = |method, path| {
            Operation::new(method, path, |call| async move {
                Ok(Answer::json(StatusCode::OK, json!({ "session": call.session().is_some() })))
            })
        };
        table.add(own(Method::POST, "invitations/").for_sessions());
        table.add(own(Method::GET, "secrets/").for_sessions());
        table.add(own(Method::GET, "enrolment-help/").for_enrolment());
        table.add(own(Method::GET, "status/"));
        table.replace(own(Method::PATCH, "me/").for_sessions());
        for (method, path) in [(Method::GET, "me/"), (Method::POST, "2fa/setup/"), (Method::POST, "change-email/")] {
            table.wrap(method, path, |call, next| async move { next.run(call).await });
        }
        // Its inner row asks for a session itself, and the wrapper is for sessions, too.
        table.wrap(Method::POST, "invitations/", |call, next| async move {
            assert!(call.session().is_some(), "a wrapper ran before the access check");
            next.run(call).await
        });
    });
    builder.without_workers().build().unwrap()
}

/// All rows of the table.
async fn rows(world: &World) -> Vec<Row> {
    let document = world.send(get("openapi.json")).await.json();
    let mut rows = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let roles = operation["security"].as_array().unwrap().iter().find_map(|it| it.get("accessCookie"));
            let roles = roles.and_then(Value::as_array).into_iter().flatten();
            rows.push(Row {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scopes: roles.map(|scope| scope.as_str().unwrap().to_owned()).collect(),
            });
        }
    }
    rows
}

/// A session that the application vouches for.
async fn vouched(world: &World, user: &User) -> Jar {
    let system = world.auth.system();
    let proof = Authenticated::dangerously_vouched_for(user, AuthMethods::default(), world.clock.now()).unwrap();
    let client = Client { tenant: user.tenant, ..Client::default() };
    let tokens = system.request(&client).issue_session(Channel::Cookie, proof).await.unwrap();
    Jar::of(world.access_cookie(), tokens.access.token.expose())
}

/// An account of another tenant.
async fn foreigner(world: &World) -> User {
    let now = world.clock.now();
    let new = NewUser {
        tenant: TenantId::parse("other").unwrap(),
        id: UserId::parse("foreigner").unwrap(),
        email: Email::parse("ada@example.org").unwrap(),
        username: None,
        email_verified_at: Some(now),
        claim: auth_system::auth_core::types::Claim::Settled,
        password_hash: None,
        token_version: TokenVersion::new(7),
        attributes: Attributes::default(),
        created_at: now,
    };
    match world.auth.system().ports().users.insert(&new).await.unwrap() {
        UserInsert::Created(user) => user,
        UserInsert::Conflict(which) => panic!("{which:?} is taken"),
    }
}

async fn an_endpoint_takes_the_sessions_that_its_row_states(ground: Ground) {
    let world = ground.world_with(enrolment).await;
    let auth = with_own_rows(&world);
    let world = world.around(auth);
    let (full, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    let ada = Email::parse("ada@example.org").unwrap();
    let user = world.auth.system().ports().users.find(&TenantId::default(), UserKey::Email(&ada)).await.unwrap();
    let vouched_for = vouched(&world, &user.unwrap()).await;
    let other_tenants = vouched(&world, &foreigner(&world).await).await;
    world.account("bob@example.org").await;
    let enrolling = world.log_in("bob@example.org", PASSWORD).await.jar();
    // Long after the logins, within the life of the access tokens.
    world.advance(std::time::Duration::from_secs(14 * 60));

    let rows = rows(&world).await;
    assert!(rows.len() > 25, "{}", rows.len());
    let (mut checked, mut open_to_enrolment) = (0, Vec::new());
    for Row { method, path, scopes } in &rows {
        let send = async |jar: &Jar| world.send(call(method.clone(), path).jar(jar).json(json!({}))).await;
        if scopes.is_empty() {
            continue;
        }
        checked += 1;
        send(&Jar::default()).await.refused(401, "not_authenticated");
        send(&other_tenants).await.refused(401, "not_authenticated");
        for jar in [&full, &vouched_for] {
            let answer = send(jar).await;
            assert_ne!(answer.status, 401, "{method} {path}: {answer:?}");
            let text = answer.text();
            assert!(!text.contains("second_factor_required"), "{method} {path}: {text}");
        }
        let answer = send(&enrolling).await;
        if scopes.iter().any(|scope| scope == "enrol_factor") {
            open_to_enrolment.push(path.trim_start_matches("/api/auth/"));
            assert!(![401, 403].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
        } else {
            answer.refused(403, "second_factor_required");
        }
    }
    assert!(checked > 12, "{checked}");
    open_to_enrolment.sort_unstable();
    assert_eq!(open_to_enrolment, ["2fa/enable/", "2fa/setup/", "enrolment-help/"]);
}

async fn a_route_of_the_application_takes_an_enrolling_user_only_where_it_asks_for_one(ground: Ground) {
    let world = ground.world_with(enrolment).await;
    world.account("bob@example.org").await;
    let enrolling = world.log_in("bob@example.org", PASSWORD).await.jar();
    for path in ["/whoami", "/required", "/enrolling/whoami"] {
        world.app(get(path).jar(&enrolling)).await.refused(403, "second_factor_required");
    }
    for path in ["/maybe", "/enrolling/maybe"] {
        assert_eq!(world.app(get(path).jar(&enrolling)).await.text(), "nobody", "{path}");
    }
    assert!(world.app(get("/enrolling/user").jar(&enrolling)).await.text().ends_with(" enrol_factor"));
    world.app(get("/enrolling/user")).await.refused(401, "not_authenticated");
    let (full, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    assert!(world.app(get("/enrolling/user").jar(&full)).await.text().ends_with(" full"));
    assert_eq!(world.app(get("/enrolling/whoami").jar(&full)).await.status, 200);
}
