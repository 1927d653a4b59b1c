//! What every flow asks before it sets a password: the rules, and then the application's own check.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod common;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_core::account::{PasswordResetConfirm, SignUpRequest};
use auth_core::error::{FieldReason, KnownText};
use auth_core::policy::{NewPassword, PasswordPolicy};
use auth_core::port::{PasswordCheck, PasswordCheckError};
use auth_core::types::{Client, Email, MAX_PASSWORD_BYTES, Password, Personal, Username};
use auth_core::{AuthSystem, Reason};
use common::{ADA, Link, OTHER_PASSWORD, PASSWORD, World, node, refused, wrong_fields};
use proptest::prelude::*;

const KNOWN_ELSEWHERE: &str = "This password was found in a breach.";

/// A password, with the address and the username that it is for.
type Asked = (String, Option<String>, Option<String>);

/// Refuses what contains `leaked`, is away for what contains `outage`, and keeps what it was asked.
#[derive(Clone, Default)]
struct Check {
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[async_trait]
impl PasswordCheck for Check {
    async fn check(
        &self,
        _client: &Client,
        password: &Password,
        personal: Personal<'_>,
    ) -> Result<(), PasswordCheckError> {
        let personal = (personal.email.map(Email::to_string), personal.username.map(Username::to_string));
        self.asked.lock().unwrap().push((password.expose().to_owned(), personal.0, personal.1));
        match password.expose() {
            text if text.contains("leaked") => Err(PasswordCheckError::Refused(KNOWN_ELSEWHERE)),
            text if text.contains("outage") => Err(PasswordCheckError::unavailable("the service is away")),
            _ => Ok(()),
        }
    }
}

impl Check {
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A world's node with a check of its own.
fn with_check(world: &World) -> (AuthSystem, Check) {
    let check = Check::default();
    let mut ports = world.ports.clone();
    ports.password_check = Some(Arc::new(check.clone()));
    (node(&ports, &world.policy), check)
}

fn sign_up<'a>(email: &'a str, password: &'a str) -> SignUpRequest<'a> {
    SignUpRequest::new(common::to_email(email), common::new_password(password))
}

fn reset<'a>(link: &'a Link, password: &'a NewPassword) -> PasswordResetConfirm<'a> {
    PasswordResetConfirm { user: Some(link.user), token: &link.token, password }
}

#[tokio::test]
async fn sign_up_asks_the_applications_check_for_known_and_unknown_addresses_alike() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    world.sign_up("waiting@example.org", PASSWORD).await.unwrap();
    world.mails().await;
    let (auth, check) = with_check(&world);
    for email in [ADA, "waiting@example.org", "unknown@example.org"] {
        let work = (world.hasher.work(), world.faults.calls());
        let refusal = auth.request(&world.client).sign_up(sign_up(email, "a leaked password")).await;
        assert_eq!(wrong_fields(refusal), [("password", FieldReason::PasswordRefused(KNOWN_ELSEWHERE))]);
        assert_eq!(
            refused(auth.request(&world.client).sign_up(sign_up(email, "an outage of it")).await),
            Reason::Unavailable
        );
        let asked: Vec<_> = check.asked().into_iter().map(|(_, email, _)| email).collect();
        assert_eq!(asked, vec![Some(email.to_owned()); 2]);
        assert_eq!((world.hasher.work(), world.faults.calls()), (work.0, vec![]), "nothing was looked up or hashed");
    }
    assert_eq!(world.mails().await, []);
    auth.request(&world.client).sign_up(sign_up("unknown@example.org", PASSWORD)).await.unwrap();
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn a_reset_asks_the_applications_check_for_a_good_link_only_and_changes_nothing_without_its_answer() {
    let world = World::new();
    world.verified(ADA, PASSWORD).await;
    let link = world.reset_link().await;
    let (auth, check) = with_check(&world);
    let forged = Link { token: "x".repeat(link.token.len()), ..link.clone() };
    for password in ["a leaked password", "an outage of it", "ada@example.org"] {
        assert_eq!(
            refused(
                auth.request(&world.client)
                    .confirm_password_reset(reset(&forged, &common::new_password(password)))
                    .await
            ),
            Reason::LinkInvalid
        );
    }
    assert_eq!(check.asked(), []);
    let before = (world.user(ADA).await, world.hasher.work());
    let refusal = auth
        .request(&world.client)
        .confirm_password_reset(reset(&link, &common::new_password("a leaked password")))
        .await;
    assert_eq!(wrong_fields(refusal), [("password", FieldReason::PasswordRefused(KNOWN_ELSEWHERE))]);
    let refusal = auth
        .request(&world.client)
        .confirm_password_reset(reset(&link, &common::new_password("an outage of it")))
        .await;
    assert_eq!(refused(refusal), Reason::Unavailable);
    assert_eq!((world.user(ADA).await, world.hasher.work()), before);
    assert_eq!(check.asked()[0], ("a leaked password".to_owned(), Some(ADA.to_owned()), None));
    auth.request(&world.client)
        .confirm_password_reset(reset(&link, &common::new_password(OTHER_PASSWORD)))
        .await
        .unwrap();
    assert_eq!(check.asked().len(), 1);
    world.login(ADA, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_applications_check_sees_what_the_rules_let_through_in_nfc_and_with_the_username() {
    let world = World::with(|policy| policy.usernames = true);
    let (auth, check) = with_check(&world);
    let request = sign_up(ADA, "countess1").username(common::to_username("Countess"));
    assert_eq!(refused(auth.request(&world.client).sign_up(request).await), Reason::InvalidFields);
    assert_eq!(check.asked(), []);
    let request = sign_up(ADA, " cafe\u{301} chantant").username(common::to_username("Countess"));
    auth.request(&world.client).sign_up(request).await.unwrap();
    let asked = (" caf\u{e9} chantant".to_owned(), Some(ADA.to_owned()), Some("countess".to_owned()));
    assert_eq!(check.asked(), [asked]);
    // Login is nobody's choice of a password.
    let link = world.link().await;
    world.verify(&link).await.unwrap();
    common::login(&auth, ADA, " caf\u{e9} chantant").await.unwrap();
    assert_eq!(check.asked(), []);
}

fn reasons(policy: &PasswordPolicy, text: &str, personal: Personal<'_>) -> Vec<FieldReason> {
    let errors = policy.accept("password", text, personal).err().unwrap_or_default();
    errors.into_iter().map(|error| error.reason).collect()
}

/// Any case for each character.
fn in_any_case(text: &str, upper: &[bool]) -> String {
    let mut upper = upper.iter().cycle();
    text.chars().map(|c| if *upper.next().unwrap() { c.to_ascii_uppercase() } else { c }).collect()
}

proptest! {
    #[test]
    fn no_text_breaks_the_rules(text in any::<String>(), local in "[a-z0-9._-]{1,20}", name in "\\PC{0,30}") {
        let email = Email::parse(&format!("{local}@example.org")).ok();
        let username = Username::parse(&local).ok();
        let personal = Personal { email: email.as_ref(), username: username.as_ref() };
        let policy = PasswordPolicy { service_names: vec![name], ..PasswordPolicy::default() };
        match policy.accept("password", &text, personal) {
            Ok(password) => {
                let chars = password.as_password().expose().chars().count();
                prop_assert!((policy.min_chars..=policy.max_chars).contains(&chars));
                prop_assert!(password.as_password().expose().len() <= MAX_PASSWORD_BYTES);
                // What is good for everybody is judged by the same rules without a person.
                prop_assert!(policy.accept("password", &text, Personal::default()).is_ok());
            }
            Err(errors) => prop_assert!(!errors.is_empty() && errors.iter().all(|error| error.field == "password")),
        }
    }

    #[test]
    fn what_an_address_tells_is_too_similar_in_any_case_with_digits_around(
        local in "[a-z]{3,12}(\\.[a-z]{3,12})?", before in "[0-9!_-]{0,3}", after in "[0-9!_-]{0,4}",
        upper in prop::collection::vec(any::<bool>(), 7),
    ) {
        let email = Email::parse(&format!("{local}@some.example")).unwrap();
        let password = in_any_case(&format!("{before}{local}{after}"), &upper);
        let personal = Personal { email: Some(&email), username: None };
        let found = reasons(&PasswordPolicy::default(), &password, personal);
        prop_assert!(found.contains(&FieldReason::PasswordTooSimilar(KnownText::Email)), "{password}: {found:?}");
    }

    #[test]
    fn words_of_ones_own_make_any_known_text_a_fine_part_of_a_password(
        local in "[a-z]{3,12}", words in "[qxz]{4,9} [qxz]{4,9}",
    ) {
        prop_assume!(!local.contains(['q', 'x', 'z']));
        let email = Email::parse(&format!("{local}@some.test")).unwrap();
        let username = Username::parse(&local).unwrap();
        let personal = Personal { email: Some(&email), username: Some(&username) };
        for password in [format!("{local} {words}"), format!("{words}{local}")] {
            prop_assert_eq!(reasons(&PasswordPolicy::default(), &password, personal), []);
        }
    }

    #[test]
    fn a_policy_counts_code_points(chars in 1_usize..300, min in 8_usize..=64, which in prop::sample::select(vec!['x', 'é', '語', '😀'])) {
        let policy = PasswordPolicy { min_chars: min, max_chars: 128, ..PasswordPolicy::default() };
        let mut expected = Vec::new();
        if chars > 128 {
            expected.push(FieldReason::TooLong(128));
        } else if chars < min {
            expected.push(FieldReason::PasswordTooShort(min));
        }
        // One letter again and again is common up to some length; that is not the point here.
        let mut found = reasons(&policy, &which.to_string().repeat(chars), Personal::default());
        found.retain(|reason| *reason != FieldReason::PasswordTooCommon);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn the_preset_of_nist_asks_for_fifteen_and_keeps_the_rest() {
    let preset = PasswordPolicy::nist_800_63b_4();
    assert_eq!(reasons(&preset, "fourteen chars", Personal::default()), [FieldReason::PasswordTooShort(15)]);
    assert_eq!(reasons(&preset, "fifteen letters", Personal::default()), []);
    let usual = PasswordPolicy::default();
    assert_eq!((preset.max_chars, preset.refuse_numeric), (usual.max_chars, usual.refuse_numeric));
    World::with(|policy| policy.password = preset);
}
