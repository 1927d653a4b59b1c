use std::fs;

use auth_core::types::{Email, TenantId};
use proptest::prelude::*;

use super::*;

const DAYS: Duration = Duration::from_secs(259_200);
const MINUTES: Duration = Duration::from_secs(3600);

fn templates() -> Templates {
    Templates::new("https://app.example.org/", "Example").unwrap()
}

fn words(templates: &Templates, locale: &str, purpose: MailPurpose) -> Words {
    let lifetime = if purpose == MailPurpose::VerifyEmail { DAYS } else { MINUTES };
    let link = templates.front_end.link_of(purpose, "42", "the-token").map(|link| (link, lifetime));
    let sign_up = (purpose == MailPurpose::VerifyEmail).then(|| SignUpFacts {
        at: "2026-01-31 18:05 UTC".to_owned(),
        from: Some("192.0.2.7".to_owned()),
        not_me: templates.front_end.not_me(MailPurpose::VerifyEmail, "42", "another-token"),
    });
    templates.words(Locale::parse_or_default(locale), purpose, "ada@example.org", link, sign_up).unwrap()
}

fn german() -> TemplateSource<'static> {
    TemplateSource {
        text: "Subject: Konto bestätigen\n\n\n{{ link }} gilt {{ lifetime_count }} {{ {'day': 'Tage', 'hour': 'Stunden', 'minute': 'Minuten'}[lifetime_unit] }}",
        html: "{% extends 'layout.html' %}{% block before %}{{ product }} {{ email }} {{ locale }}{% endblock %}",
    }
}

fn mail(purpose: MailPurpose) -> Mail {
    Mail::new(
        auth_core::types::MailId(uuid::Uuid::from_u128(7)),
        TenantId::default(),
        Email::parse("ada@example.org").unwrap(),
        purpose,
    )
}

#[test]
fn the_four_mails_in_english() {
    for (purpose, subject, link, lifetime) in [
        (MailPurpose::VerifyEmail, "Verify your account", "/verify-account?uid=NDI&token=the-token", Some("3 days")),
        (MailPurpose::AccountExists, "You already have an account", "", None),
        (
            MailPurpose::ResetPassword,
            "Password Reset Request",
            "/password-reset-confirm?uid=NDI&token=the-token",
            Some("60 minutes"),
        ),
        (
            MailPurpose::SetPassword,
            "Set your password",
            "/password-reset-confirm?uid=NDI&token=the-token",
            Some("60 minutes"),
        ),
    ] {
        let words = words(&templates(), "en", purpose);
        assert_eq!(words.subject, subject);
        let link = format!("https://app.example.org{link}");
        assert!(words.text.contains(&format!("\n\n{link}\n\n")), "{}", words.text);
        let html = words.html.replace("&#x2f;", "/").replace("&amp;", "&");
        assert!(html.contains(&format!("href=\"{link}\"")) && html.contains(&format!(">{link}</a>")), "{html}");
        for body in [&words.text, &html] {
            assert!(body.contains("Example") && body.contains("If this was not you"), "{body}");
            assert!(lifetime.is_none_or(|lifetime| body.contains(&format!("works for {lifetime}."))), "{body}");
            assert!(!body.contains("{{") && body.lines().count() > 5, "{body}");
        }
        // Nothing is fetched when the mail is read.
        assert!(!["<img", "src=", "url(", "<link", "@import"].iter().any(|remote| html.contains(remote)), "{html}");
    }
}

#[test]
fn a_verification_mail_says_who_signed_up_and_offers_to_deny_it() {
    let words = words(&templates(), "en", MailPurpose::VerifyEmail);
    for body in [&words.text, &words.html.replace("&#x2f;", "/").replace("&amp;", "&")] {
        assert!(body.contains("2026-01-31 18:05 UTC") && body.contains("192.0.2.7"), "{body}");
        assert!(
            body.contains("https://app.example.org/not-me?uid=NDI&token=another-token&kind=verify_email"),
            "{body}"
        );
    }
    // Of an account that an operator made, none of it is known.
    let mut mail = mail(MailPurpose::VerifyEmail);
    mail.link = Some(MailLink {
        user: auth_core::types::UserId::parse("42").unwrap(),
        token: auth_core::types::Token::new("the-token".to_owned()),
        lifetime: DAYS,
    });
    let rendered = templates().render(&mail).unwrap();
    assert!(rendered.text.contains("the-token") && !rendered.text.contains("not-me"), "{}", rendered.text);
}

#[test]
fn a_mail_without_a_token_renders_and_one_that_lacks_it_does_not() {
    let rendered = templates().render(&mail(MailPurpose::AccountExists)).unwrap();
    assert!(rendered.text.contains("https://app.example.org\n"), "{}", rendered.text);
    assert!(!format!("{rendered:?}").contains("https://"), "{rendered:?}");
    for purpose in [MailPurpose::VerifyEmail, MailPurpose::ResetPassword, MailPurpose::SetPassword] {
        assert!(matches!(templates().render(&mail(purpose)), Err(MailError::Permanent(_))));
    }
}

#[test]
fn the_exact_locale_comes_first_then_the_language_then_english() {
    let mut templates = templates();
    templates.set("de", MailPurpose::VerifyEmail, german()).unwrap();
    let austrian = TemplateSource { text: "Subject: Servus\n\n{{ link }}", ..german() };
    templates.set("de-AT", MailPurpose::VerifyEmail, austrian).unwrap();
    for (locale, subject) in [
        ("de-at", "Servus"),
        ("de-ch", "Konto bestätigen"),
        ("de", "Konto bestätigen"),
        ("fr", "Verify your account"),
        ("en-gb", "Verify your account"),
    ] {
        assert_eq!(words(&templates, locale, MailPurpose::VerifyEmail).subject, subject, "{locale}");
    }
    let german = words(&templates, "de-ch", MailPurpose::VerifyEmail);
    assert!(german.text.ends_with("the-token gilt 3 Tage"), "{}", german.text);
    assert!(german.html.contains("Example ada@example.org de"), "{}", german.html);
    assert!(german.html.contains("<html lang=\"de\">") && german.html.contains("<title>Konto bestätigen</title>"));
    assert_eq!(words(&templates, "de", MailPurpose::SetPassword).subject, "Set your password");
}

#[test]
fn built_in_templates_can_be_replaced() {
    let mut templates = templates();
    let source = TemplateSource { text: "Subject: {{ product }}: welcome\n\n{{ link }}", html: "<p>" };
    templates.set("en", MailPurpose::VerifyEmail, source).unwrap();
    assert_eq!(words(&templates, "fr", MailPurpose::VerifyEmail).subject, "Example: welcome");
}

#[test]
fn mistakes_in_a_template_show_when_it_is_set_and_change_nothing() {
    let mut templates = templates();
    let good = TemplateSource { text: "Subject: {{ product }}\n\n{{ link }}", html: "{{ link }}" };
    for (locale, bad) in [
        ("en", TemplateSource { text: "Subject: {{ product\n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: {{ procudt }}\n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: {# nothing #}\n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: \n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "{{ product }}\n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: {{ product }}\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: {{ product }}", ..good }),
        ("en", TemplateSource { text: "Subject: {{ subject }}\n\n{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: a\n\n{% if %}{{ link }}", ..good }),
        ("en", TemplateSource { text: "Subject: a\n\nno link", ..good }),
        ("en", TemplateSource { html: "{{ product.name.first }}", ..good }),
        ("en", TemplateSource { html: "{% extends 'missing.html' %}", ..good }),
        ("en", TemplateSource { html: "{{ link | shout }}", ..good }),
        // It would fail for other lifetimes than this one.
        ("en", TemplateSource { html: "{{ {'minute': 'Minuten'}[lifetime_unit] }}", ..good }),
        ("de_DE", good),
        ("", good),
        ("../en", good),
    ] {
        assert!(templates.set(locale, MailPurpose::VerifyEmail, bad).is_err(), "{locale} {bad:?}");
    }
    let lifetime = TemplateSource { text: "Subject: a\n\n{{ link }} {{ lifetime }}", ..good };
    assert!(templates.set("en", MailPurpose::AccountExists, lifetime).is_err());
    assert!(templates.set("en", MailPurpose::VerifyEmail, lifetime).is_ok());
    assert_eq!(words(&templates, "en", MailPurpose::AccountExists).subject, "You already have an account");
}

#[test]
fn the_products_name_is_text_everywhere() {
    let templates = Templates::new("https://app.example.org", "<b>&\"{{ link }}").unwrap();
    for purpose in MailPurpose::ALL {
        let words = words(&templates, "en", purpose);
        assert!(words.text.contains("<b>&\"{{ link }}"), "{}", words.text);
        assert!(words.html.contains("&lt;b&gt;&amp;&quot;{{ link }}") && !words.html.contains("<b>"), "{}", words.html);
    }
    for bad in ["", " ", "Example\r\nBcc: bob@example.org", "Example\0"] {
        assert!(Templates::new("https://app.example.org", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_folder_holds_whole_mails_only() {
    let folder = tempfile::tempdir().unwrap();
    let german_folder = folder.path().join("de");
    let file = |name: &str, text: &str| fs::write(german_folder.join(name), text).unwrap();
    fs::create_dir(&german_folder).unwrap();
    file("verify_email.txt", german().text);
    let mut templates = templates();
    assert!(templates.load(folder.path()).is_err(), "the HTML is missing");
    file("verify_email.html", german().html);
    templates.load(folder.path()).unwrap();
    assert_eq!(words(&templates, "de", MailPurpose::VerifyEmail).subject, "Konto bestätigen");
    for stray in ["verify_email.md", "verify.txt", "README"] {
        file(stray, "text");
        assert!(templates.load(folder.path()).is_err(), "{stray}");
        fs::remove_file(german_folder.join(stray)).unwrap();
    }
    fs::rename(german_folder, folder.path().join("de_DE")).unwrap();
    assert!(templates.load(folder.path()).is_err());
    assert!(templates.load(&folder.path().join("missing")).is_err());
}

proptest! {
    #[test]
    fn a_subject_is_always_one_line(text in "[\\PC\r\n\t\0\u{85}\u{2028}]{0,40}") {
        let subject = one_line(&text);
        prop_assert!(!subject.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' ')));
        prop_assert_eq!(one_line(&subject), subject);
    }
}
