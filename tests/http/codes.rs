//! Codes and confirmations as people type and paste them.

use std::time::Duration;

use auth_system::auth_core::port::Event;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, PASSWORD, World, post};

scenarios![
    a_code_of_the_authenticator_counts_however_it_was_typed,
    a_backup_code_counts_however_it_was_typed,
    a_text_that_is_no_code_costs_no_try,
    a_backup_code_is_no_code_of_the_authenticator_and_costs_no_try,
    a_number_gets_its_leading_zeros_back,
    a_confirmation_is_compared_in_the_form_of_the_password,
];

const EMAIL: &str = "ada@example.org";

/// Spellings of one code: in groups, with what pasting brings along, and in the digits and the width of other scripts.
fn spellings(code: &str) -> Vec<String> {
    let (half, rest) = code.split_at(code.len() / 2);
    let digits = |zero: u32| -> String {
        let shift = |c: char| c.to_digit(10).map_or(c, |digit| char::from_u32(zero + digit).unwrap());
        code.chars().map(shift).collect()
    };
    let apart = |separator: &str| {
        let all: Vec<_> = code.chars().map(String::from).collect();
        all.join(separator)
    };
    vec![
        code.to_owned(),
        code.to_lowercase(),
        format!("{half} {rest}"),
        format!("  {code}\r\n"),
        format!("{half}\n{rest}\n"),
        format!("{half}-{rest}"),
        format!("{half}\u{2011}{rest} \u{2013} "),
        format!("\u{feff}{half}\u{a0}\u{200b}{rest}\u{200f}"),
        apart(" "),
        apart("\u{2009}\u{2212}"),
        digits(0x660),
        digits(0x966),
        format!("\u{3000}{}", digits(0xff10)),
        digits(0x1d7f6),
    ]
}

async fn first_step(world: &World) -> Value {
    let answer = world.log_in(EMAIL, PASSWORD).await;
    assert_eq!(answer.json()["requires_2fa"], true, "{answer:?}");
    answer.json()["session_token"].clone()
}

async fn verify(world: &World, token: &Value, code: Value) -> Answer {
    world.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
}

async fn a_code_of_the_authenticator_counts_however_it_was_typed(ground: Ground) {
    let world = ground.world().await;
    world.account(EMAIL).await;
    let mut jar = world.session(EMAIL).await;
    for number in 0..spellings("123456").len() {
        let spelt = |code: String| spellings(&code).swap_remove(number);
        let authenticator = Authenticator::set_up(&world, &jar).await;
        let body = json!({ "code": spelt(authenticator.code(&world)) });
        let answer = world.send(post("2fa/enable/").jar(&jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        world.advance(Duration::from_secs(60));
        let token = first_step(&world).await;
        let answer = verify(&world, &token, json!(spelt(authenticator.code(&world)))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        jar = answer.jar();
        world.advance(Duration::from_secs(60));
        let body = json!({ "password": PASSWORD, "code": spelt(authenticator.code(&world)) });
        let answer = world.send(post("2fa/disable/").jar(&jar).json(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        jar = answer.jar();
    }
}

async fn a_backup_code_counts_however_it_was_typed(ground: Ground) {
    let world = ground.world_with(|config| config.policy.backup_codes = 20).await;
    let (_, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
    let all = spellings("ABCD2345");
    assert!(all.len() <= authenticator.backup_codes.len());
    for (number, code) in authenticator.backup_codes.iter().enumerate().take(all.len()) {
        let spelt = spellings(code).swap_remove(number);
        let answer = verify(&world, &first_step(&world).await, json!(spelt)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["warning"]), (200, &json!("Backup code used.")), "{spelt}");
        verify(&world, &first_step(&world).await, json!(code)).await.refused(400, "invalid_code");
    }
}

/// A right code with something else in it, and other things that no code is.
fn no_codes(code: &str) -> Vec<Value> {
    let mut texts: Vec<String> =
        ["", " ", "-", "\u{200b}", "hunter2", "12345", "1234567", "ABCD234", "ABCD23456", "ABCD234I"]
            .map(str::to_owned)
            .into();
    texts.extend(["{}0", "0{}", "+{}", "{}.0", "{}.", "_{}", "{}\u{b2}"].map(|form| form.replace("{}", code)));
    let others = [json!(null), json!([code]), json!({ "code": code }), json!(true), json!(-1), json!(1.5), json!(1e3)];
    let numbers = [json!(1_234_567), json!(23_456_789), json!(u64::MAX)];
    texts.into_iter().map(Value::from).chain(others).chain(numbers).collect()
}

async fn a_text_that_is_no_code_costs_no_try(ground: Ground) {
    for path in ["2fa/enable/", "2fa/disable/", "2fa/verify-login/"] {
        let world = ground.world_with(|config| config.policy.timed_limits = true).await;
        let (jar, authenticator) = if path == "2fa/enable/" {
            world.account(EMAIL).await;
            let jar = world.session(EMAIL).await;
            let authenticator = Authenticator::set_up(&world, &jar).await;
            (jar, authenticator)
        } else {
            Authenticator::enrolled(&world, EMAIL).await
        };
        world.advance(Duration::from_secs(60));
        let token = if path == "2fa/verify-login/" { first_step(&world).await } else { Value::Null };
        world.events.take();
        let send = async |code: Value| {
            let body = json!({ "password": PASSWORD, "session_token": token, "code": code });
            let answer = world.send(post(path).jar(&jar).json(body)).await;
            // The limit by address is not the one that this is about.
            world.advance(Duration::from_secs(7));
            answer
        };
        for code in no_codes(&authenticator.code(&world)) {
            let answer = send(code.clone()).await;
            answer.refused(400, "invalid_fields");
            assert_eq!(answer.field("code").len(), 1, "{path} {code}");
        }
        let refused = |event: &Event| matches!(event, Event::CodeRefused { .. });
        assert!(!world.events.take().iter().any(refused), "{path}");
        assert_eq!(world.mails().await, [], "{path}");
        assert_eq!(send(json!(authenticator.code(&world))).await.status, 200, "{path}");
    }
}

async fn a_backup_code_is_no_code_of_the_authenticator_and_costs_no_try(ground: Ground) {
    let world = ground.world_with(|config| config.policy.timed_limits = true).await;
    let (jar, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
    world.advance(Duration::from_secs(60));
    for code in &authenticator.backup_codes {
        let body = json!({ "password": PASSWORD, "code": code });
        world.send(post("2fa/disable/").jar(&jar).json(body)).await.refused(400, "invalid_fields");
        world.advance(Duration::from_secs(7));
    }
    assert_eq!(world.events.take(), []);
    let answer = verify(&world, &first_step(&world).await, json!(authenticator.backup_codes[0])).await;
    assert_eq!(answer.json()["backup_codes_remaining"], 9, "none was used up");
}

async fn a_number_gets_its_leading_zeros_back(ground: Ground) {
    let world = ground.world().await;
    let (_, authenticator) = Authenticator::enrolled(&world, EMAIL).await;
    for zeros in ["0", "00"] {
        world.advance(Duration::from_secs(60));
        while !authenticator.code(&world).starts_with(zeros) {
            world.advance(Duration::from_secs(30));
        }
        let number: u32 = authenticator.code(&world).parse().unwrap();
        let token = first_step(&world).await;
        assert_eq!(verify(&world, &token, json!(number)).await.status, 200, "{number}");
    }
}

async fn a_confirmation_is_compared_in_the_form_of_the_password(ground: Ground) {
    let (composed, decomposed) =
        ("caf\u{e9} au lait, s'il vous pla\u{ee}t", "cafe\u{301} au lait, s'il vous plai\u{302}t");
    let world = ground.world().await;
    for (email, password, confirmation) in
        [("bob@example.org", composed, decomposed), ("eve@example.org", decomposed, composed)]
    {
        let body = json!({ "email": email, "password": password, "confirm_password": confirmation });
        assert_eq!(world.send(post("signup/").json(body)).await.status, 201);
    }
    world.mails().await;
    world.account(EMAIL).await;
    let jar = world.session(EMAIL).await;
    let change = |old: &str, new: &str, confirmation: &str| json!({ "old_password": old, "new_password": new, "confirm_password": confirmation });
    let body = change(PASSWORD, composed, decomposed);
    let answer = world.send(post("change-password/").jar(&jar).json(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (jar, body) = (answer.jar(), change(decomposed, PASSWORD, "another password"));
    let answer = world.send(post("change-password/").jar(&jar).json(body)).await;
    assert_eq!((answer.status.as_u16(), answer.jar()), (400, Jar::default()), "a difference is still one");
}
