//! The OpenAPI document says what the endpoints do: neither more nor less.

use std::collections::{BTreeMap, BTreeSet};

use auth_system::Config;
use auth_system::config::Profile;
use http::Method;
use serde_json::{Map, Value, json};

use crate::door::Driver;
use crate::golden;
use crate::place::Store;
use crate::world::{Authenticator, Call, Ground, Jar, World, call, get};

const GROUND: Ground = Ground { store: Store::Memory, driver: Driver::Axum };

async fn world(profile: Profile) -> World {
    GROUND
        .world_with(|config| {
            config.profile = profile;
            config.openapi = true;
        })
        .await
}

struct Operation {
    path: String,
    method: Method,
    told: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push(Operation { path: path.clone(), method, told: told.clone() });
        }
    }
    all
}

impl Operation {
    fn body(&self) -> Option<&Value> {
        self.told.pointer("/requestBody/content/application~1json/schema")
    }

    fn call(&self) -> Call {
        call(self.method.clone(), &self.path)
    }

    /// The fields that a body may have, and those that it must.
    fn fields(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let body = self.body().unwrap();
        let all = body["properties"].as_object().unwrap().keys().cloned().collect();
        let required = body["required"].as_array().into_iter().flatten();
        (all, required.map(|name| name.as_str().unwrap().to_owned()).collect())
    }
}

#[tokio::test]
async fn the_document_is_the_golden_one() {
    for (profile, name) in [(Profile::Standard, "standard"), (Profile::Django, "django")] {
        let text = serde_json::to_string_pretty(&world(profile).await.auth.openapi()).unwrap() + "\n";
        golden::check(&format!("openapi.{name}.json"), &text);
    }
}

#[tokio::test]
async fn every_endpoint_is_in_the_document_and_every_path_of_it_answers() {
    let world = world(Profile::Standard).await;
    let all = operations(&world.auth.openapi());
    let mut by_path: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for operation in &all {
        by_path.entry(&operation.path).or_default().insert(operation.method.as_str());
    }
    for (path, methods) in &by_path {
        let answer = world.send(call(Method::OPTIONS, path)).await;
        let allowed: BTreeSet<_> = answer.header("allow").split(", ").collect();
        let allowed: BTreeSet<_> = allowed.difference(&["HEAD", "OPTIONS"].into()).copied().collect();
        assert_eq!(allowed, *methods, "{path}");
    }
    // What the README names.
    let readme = include_str!("../../README.md");
    let quoted = readme.split('`').skip(1).step_by(2);
    let named =
        quoted.filter_map(|text| text.split_once(' ')).filter(|(method, _)| ["GET", "POST", "PATCH"].contains(method));
    let mut count = 0;
    for (method, path) in named {
        let path = format!("/api/auth/{path}");
        assert!(by_path.get(path.as_str()).is_some_and(|methods| methods.contains(method)), "{method} {path}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

/// A world in which the body of every operation is read, and who to be for that.
async fn ready(profile: Profile) -> (World, impl Fn(&Operation) -> Jar) {
    let world = world(profile).await;
    world.account("setting-up@example.org").await;
    let setting_up = world.session("setting-up@example.org").await;
    Authenticator::set_up(&world, &setting_up).await;
    let (enrolled, _) = Authenticator::enrolled(&world, "enrolled@example.org").await;
    (
        world,
        move |operation: &Operation| {
            if operation.path.ends_with("2fa/enable/") { setting_up.clone() } else { enrolled.clone() }
        },
    )
}

fn wrong_fields(answer: &Value, profile: Profile) -> BTreeMap<String, Vec<String>> {
    let errors = if profile == Profile::Django { answer } else { &answer["errors"] };
    let lists = errors.as_object().unwrap().iter().filter_map(|(name, list)| Some((name.clone(), list.as_array()?)));
    let text = |error: &Value| error["code"].as_str().or(error.as_str()).unwrap().to_owned();
    lists.map(|(name, list)| (name, list.iter().map(text).collect())).collect()
}

/// The parts of a link are judged together, before anything else.
fn link(required: &BTreeSet<String>) -> Map<String, Value> {
    ["uid", "token"].into_iter().filter(|name| required.contains(*name)).map(|name| (name.into(), "x".into())).collect()
}

#[tokio::test]
async fn a_required_field_that_is_missing_is_told_and_no_other() {
    for profile in [Profile::Standard, Profile::Django] {
        let (world, jar) = ready(profile).await;
        let said = if profile == Profile::Django { "This field is required." } else { "required" };
        let mut checked = 0;
        for operation in operations(&world.auth.openapi()).iter().filter(|operation| operation.body().is_some()) {
            let (_, mut required) = operation.fields();
            let body = link(&required);
            required.retain(|name| !body.contains_key(name));
            let is_link_alone = required.is_empty() && !body.is_empty();
            if let Some(first) = operation.body().unwrap().pointer("/anyOf/0/required/0") {
                // Told under the first of the two.
                required.insert(first.as_str().unwrap().to_owned());
            }
            if required.is_empty() && !is_link_alone {
                continue;
            }
            let sent = if is_link_alone { json!({}) } else { body.into() };
            let answer = world.send(operation.call().jar(&jar(operation)).json(sent)).await;
            assert_eq!(answer.status, 400, "{} {answer:?}", operation.path);
            checked += 1;
            if is_link_alone {
                assert_eq!(answer.json()["code"], "link_incomplete", "{}", operation.path);
                continue;
            }
            let told = wrong_fields(&answer.json(), profile);
            assert!(told.values().all(|codes| *codes == [said]), "{} {told:?}", operation.path);
            assert_eq!(told.into_keys().collect::<BTreeSet<_>>(), required, "{}", operation.path);
        }
        assert!(checked >= 12, "{checked}");
    }
}

#[tokio::test]
async fn every_documented_field_is_read_and_no_other() {
    for profile in [Profile::Standard, Profile::Django] {
        let (world, jar) = ready(profile).await;
        let operations = operations(&world.auth.openapi());
        let with_body = || operations.iter().filter(|operation| operation.body().is_some());
        let every: BTreeSet<_> = with_body().flat_map(|operation| operation.fields().0).collect();
        for operation in with_body() {
            let (documented, required) = operation.fields();
            // A list is wrong wherever a value is due.
            let mut body: Map<_, _> = every.iter().map(|name| (name.clone(), json!([]))).collect();
            let link = link(&required);
            body.extend(link.clone());
            let expected: BTreeSet<_> = documented.into_iter().filter(|name| !link.contains_key(name)).collect();
            let answer = world.send(operation.call().jar(&jar(operation)).json(body.into())).await;
            assert_eq!(answer.status, 400, "{} {answer:?}", operation.path);
            if expected.is_empty() {
                assert_eq!(answer.json()["code"], "link_invalid", "{}", operation.path);
                continue;
            }
            let mut told: BTreeSet<_> = wrong_fields(&answer.json(), profile).into_keys().collect();
            if expected.contains("username") && operation.body().unwrap()["anyOf"].is_array() {
                // One of the two is read, the address where both are there.
                told.insert("username".into());
            }
            assert_eq!(told, expected, "{}", operation.path);
        }
    }
}

#[tokio::test]
async fn the_document_is_served_where_the_settings_say_so() {
    let world = world(Profile::Standard).await;
    let answer = world.send(get("openapi.json")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, world.auth.openapi()));
    let closed = GROUND.world().await;
    closed.send(get("openapi.json")).await.refused(404, "not_found");
}

#[tokio::test]
async fn the_document_follows_the_settings() {
    let spell = |configure: fn(&mut Config)| async move { GROUND.world_with(configure).await.auth.openapi() };
    let document = spell(|config| {
        config.public_path = "/account".into();
        config.bearer = true;
        config.cookies.access_name = Some("a".into());
        config.policy.usernames = true;
        config.policy.attributes = vec![auth_system::auth_core::policy::AttributeRule::new("shoe_size", 4)];
    })
    .await;
    let sign_up = &document["paths"]["/account/signup/"]["post"];
    let body = &sign_up["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["shoe_size"], json!({ "type": "string", "maxLength": 4 }));
    assert_eq!(body["required"], json!(["email", "username", "password"]));
    assert_eq!(document["components"]["securitySchemes"]["accessCookie"]["name"], "a");
    let access = &document["paths"]["/account/me/"]["get"]["security"];
    assert_eq!(*access, json!([{ "accessCookie": ["full"] }, { "bearer": ["full"] }]));
    assert!(document["paths"].get("/account/openapi.json").is_none(), "it is not served");
    let bare = spell(|_| {}).await;
    assert_eq!(bare["components"]["securitySchemes"].get("bearer"), None);
    assert_eq!(bare["paths"]["/api/auth/me/"]["get"]["security"], json!([{ "accessCookie": ["full"] }]));
}

/// Anonymous callers may ask for it as often as they like.
#[tokio::test]
async fn the_document_is_rendered_once() {
    let world = world(Profile::Standard).await;
    let bytes = async || {
        let request = http::Request::get("/api/auth/openapi.json").body(http_body_util::Empty::<bytes::Bytes>::new());
        world.auth.respond(request.unwrap(), None).await.into_body().into_bytes().unwrap()
    };
    let (first, second) = (bytes().await, bytes().await);
    assert_eq!(first.as_ptr(), second.as_ptr(), "the same memory");
    assert_eq!(first, world.auth.openapi().to_string());
}
