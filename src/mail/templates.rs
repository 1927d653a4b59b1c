use std::path::Path;
use std::time::Duration;

use auth_core::port::{Mail, MailError, MailLink, MailPurpose, MailedSignUp};
use auth_core::types::{Locale, Timestamp};
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::link::{FrontEnd, Lifetime, moment};
use super::{RenderedMail, SetupError};

/// The words of every mail: English ones are built in; each can be replaced, and other languages added, at run time.
///
/// A mail is looked up by its exact locale (`pt-br`), then its language (`pt`), then `en`. Templates are
/// [minijinja](minijinja) (Jinja2's syntax). HTML is escaped, a variable that does not exist is an error. They see:
///
/// | variable | example |
/// |---|---|
/// | `link` | `https://app.example.org/verify-account?uid=...&token=...`; without a token, the front-end's address |
/// | `lifetime` | `3 days`: how long the link works, in English; only where the link has a token, as the next two |
/// | `lifetime_count`, `lifetime_unit` | `3` and `day`, `hour` or `minute`, for other languages |
/// | `signed_up_at`, `signed_up_from`, `not_me` | in `verify_email` only, and none for an account that an operator made: the time of the sign-up, the client address if known, and the link that removes the account |
/// | `product` | the name of your application |
/// | `email` | the recipient's address |
/// | `locale` | the locale of the template |
/// | `subject` | the subject as rendered; in the bodies only |
///
/// A link to `/not-me` has a third parameter, `kind`: the name of its mail by [`MailPurpose::as_str`]. The page there chooses
/// its words by it, because a link may revert a change, remove an account or claim an account. It proves nothing.
///
/// HTML templates may extend the built-in `layout.html`; it has the blocks `before`, `action` (the button's text) and
/// `after`, and shows the link itself.
#[derive(Clone, Debug)]
pub struct Templates {
    engine: Environment<'static>,
    front_end: FrontEnd,
    product: String,
}

/// The two templates of one mail.
#[derive(Clone, Copy, Debug)]
pub struct TemplateSource<'a> {
    /// The subject and the plain text: `Subject: Verify your account`, a blank line, and the text, which has to hold the
    /// link.
    pub text: &'a str,
    /// The HTML.
    pub html: &'a str,
}

macro_rules! english {
    ($(
        $(#[$doc:meta])*
        $purpose:ident $name:literal $audience:ident $(budget $budget:literal)? $(page $page:ident)?;
    )*) => {
        [$((MailPurpose::$purpose, TemplateSource {
            text: include_str!(concat!("templates/en/", $name, ".txt")),
            html: include_str!(concat!("templates/en/", $name, ".html")),
        })),*]
    };
}

const ENGLISH: [(MailPurpose, TemplateSource<'static>); MailPurpose::ALL.len()] = auth_core::messages!(english);

/// The parts of a mail, by the endings of their templates' names. The subject is the first line of the text's file.
const SUBJECT: &str = "subject";
const TEXT: &str = "txt";
const HTML: &str = "html";

impl Templates {
    /// The built-in templates, for the front-end at `frontend_url` and a product of that name.
    ///
    /// # Errors
    /// [`SetupError`] when `frontend_url` is not a plain `http://` or `https://` address (no query, no fragment), or the
    /// product's name is empty or has control characters.
    pub fn new(frontend_url: &str, product: &str) -> Result<Self, SetupError> {
        if product.trim().is_empty() || product.contains(char::is_control) {
            return Err(SetupError::new("the product's name is empty or has control characters"));
        }
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.add_template("layout.html", include_str!("templates/layout.html")).map_err(refused)?;
        let mut templates =
            Self { engine, front_end: FrontEnd::parse(frontend_url)?, product: product.trim().to_owned() };
        for (purpose, source) in ENGLISH {
            templates.set(Locale::default().as_str(), purpose, source)?;
        }
        Ok(templates)
    }

    /// Replaces or adds the templates of one mail in one language. They are tried with sample data, so that a mistake
    /// shows now and not when a mail is due.
    ///
    /// # Errors
    /// [`SetupError`] when `locale` is no language tag, a template is malformed or uses what is not there, the subject
    /// comes out empty, or the text lacks the link. The former templates then stay.
    pub fn set(&mut self, locale: &str, purpose: MailPurpose, source: TemplateSource<'_>) -> Result<(), SetupError> {
        let tag = Locale::parse_or_default(locale);
        if !tag.as_str().eq_ignore_ascii_case(locale) {
            return Err(SetupError::new(format!("`{locale}` is not a language tag such as `de` or `pt-br`")));
        }
        let (subject, text) = split(source.text).ok_or_else(|| {
            let name = template_name(tag.as_str(), purpose, TEXT);
            SetupError::new(format!(
                "{name}: the first line is not `Subject: ` with a subject, or no blank line follows"
            ))
        })?;
        let mut changed = self.clone();
        for (part, text) in [(SUBJECT, subject), (TEXT, text), (HTML, source.html)] {
            let name = template_name(tag.as_str(), purpose, part);
            changed.engine.add_template_owned(name, text.to_owned()).map_err(refused)?;
        }
        changed.try_out(tag, purpose)?;
        *self = changed;
        Ok(())
    }

    /// Reads templates from a folder with one folder per locale, as in `de/verify_email.txt` and `de/verify_email.html`; the
    /// names are those of [`MailPurpose::as_str`].
    ///
    /// # Errors
    /// As [`set`](Self::set); also when a file cannot be read, misses its sibling, or belongs to no mail. The
    /// former templates then stay.
    pub fn load(&mut self, folder: &Path) -> Result<(), SetupError> {
        let mut changed = self.clone();
        for locale in names_in(folder)? {
            let folder = folder.join(&locale);
            let files = names_in(&folder)?;
            let mails = files.iter().map(|file| {
                let purpose = file
                    .rsplit_once('.')
                    .and_then(|(stem, part)| MailPurpose::parse(stem).filter(|_| matches!(part, TEXT | HTML)));
                purpose.ok_or_else(|| SetupError::new(format!("`{locale}/{file}` belongs to no mail")))
            });
            let mails = mails.collect::<Result<Vec<_>, _>>()?;
            for purpose in MailPurpose::ALL.into_iter().filter(|purpose| mails.contains(purpose)) {
                let read = |part: &str| {
                    let file = folder.join(format!("{}.{part}", purpose.as_str()));
                    std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))
                };
                let (text, html) = (read(TEXT)?, read(HTML)?);
                changed.set(&locale, purpose, TemplateSource { text: &text, html: &html })?;
            }
        }
        *self = changed;
        Ok(())
    }

    /// Puts a mail in words.
    ///
    /// # Errors
    /// [`MailError::Permanent`] when the mail lacks the link that its purpose needs, or a template fails.
    pub fn render(&self, mail: &Mail) -> Result<RenderedMail, MailError> {
        let link = match &mail.link {
            Some(MailLink { user, token, lifetime }) => {
                let link = self.front_end.link_of(mail.purpose, user.as_str(), token.expose());
                link.map(|link| (link, *lifetime))
            }
            None if mail.purpose.page().is_some() => {
                return Err(MailError::Permanent("the mail has no link".into()));
            }
            None => None,
        };
        let sign_up = mail.sign_up.as_ref().map(|sign_up| self.sign_up_facts(sign_up));
        let words = self.words(mail.locale, mail.purpose, mail.to.spelling(), link, sign_up);
        // As text: the debug form of the engine's error may show the link.
        let words = words.map_err(|error| MailError::Permanent(format!("template: {error}").into()))?;
        Ok(RenderedMail {
            id: mail.id,
            to: mail.to.clone(),
            subject: words.subject,
            text: words.text,
            html: words.html,
        })
    }

    fn words(
        &self,
        locale: Locale,
        purpose: MailPurpose,
        email: &str,
        link: Option<(String, Duration)>,
        sign_up: Option<SignUpFacts>,
    ) -> Result<Words, minijinja::Error> {
        let known = |locale: &&str| self.engine.get_template(&template_name(locale, purpose, TEXT)).is_ok();
        let locale = [locale.as_str(), locale.language()].into_iter().find(known).unwrap_or("en");
        let facts = match &link {
            Some((link, lifetime)) => {
                let lifetime = Lifetime::from(*lifetime);
                context! {
                    link, lifetime => lifetime.to_string(),
                    lifetime_count => lifetime.count, lifetime_unit => lifetime.unit,
                }
            }
            None => context! { link => self.front_end.home() },
        };
        let facts = match sign_up {
            Some(SignUpFacts { at, from, not_me }) => {
                context! { signed_up_at => at, signed_up_from => from, not_me, ..facts }
            }
            None if purpose == MailPurpose::VerifyEmail => {
                context! { signed_up_at => (), signed_up_from => (), not_me => (), ..facts }
            }
            None => facts,
        };
        let facts = context! { product => &self.product, email, locale, ..facts };
        let render = |part: &str, facts: &Value| {
            self.engine.get_template(&template_name(locale, purpose, part))?.render(facts.clone())
        };
        let subject = one_line(&render(SUBJECT, &facts)?);
        let facts = context! { subject => &subject, ..facts };
        Ok(Words { text: render(TEXT, &facts)?, html: render(HTML, &facts)?, subject })
    }

    fn sign_up_facts(&self, sign_up: &MailedSignUp) -> SignUpFacts {
        let MailLink { user, token, .. } = &sign_up.denial;
        SignUpFacts {
            at: moment(sign_up.at),
            from: sign_up.from.map(|from| from.to_canonical().to_string()),
            not_me: self.front_end.not_me(MailPurpose::VerifyEmail, user.as_str(), token.expose()),
        }
    }

    /// Renders sample data, with a lifetime in each of the units.
    fn try_out(&self, locale: Locale, purpose: MailPurpose) -> Result<(), SetupError> {
        let fault = |what| SetupError::new(format!("{}: {what}", template_name(locale.as_str(), purpose, "*")));
        for minutes in [1, 300, 5000] {
            let link = self.front_end.link_of(purpose, "1", "sample");
            let url = link.as_deref().unwrap_or(self.front_end.home()).to_owned();
            let link = link.map(|link| (link, Duration::from_secs(60 * minutes)));
            let sign_up = SignUpFacts::sample().filter(|_| purpose == MailPurpose::VerifyEmail && minutes > 1);
            let words = self.words(locale, purpose, "ada@example.org", link, sign_up).map_err(refused)?;
            if words.subject.is_empty() {
                return Err(fault("the subject is empty"));
            }
            if !words.text.contains(&url) {
                return Err(fault("the text does not show the link"));
            }
        }
        Ok(())
    }
}

/// A sign-up in words.
struct SignUpFacts {
    at: String,
    from: Option<String>,
    not_me: String,
}

impl SignUpFacts {
    fn sample() -> Option<Self> {
        let not_me = "https://app.example.org/not-me?uid=MQ&token=sample&kind=verify_email".to_owned();
        Some(Self { at: moment(Timestamp::default()), from: None, not_me })
    }
}

struct Words {
    subject: String,
    text: String,
    html: String,
}

fn template_name(locale: &str, purpose: MailPurpose, part: &str) -> String {
    format!("{locale}/{}.{part}", purpose.as_str())
}

/// The subject and the text of a template's file.
fn split(source: &str) -> Option<(&str, &str)> {
    let (first, rest) = source.split_once('\n')?;
    let text = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    Some((first.strip_prefix("Subject:")?.trim(), text))
}

/// A header takes one line; what a template or a value adds to that is folded away.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn names_in(folder: &Path) -> Result<Vec<String>, SetupError> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> SetupError {
    SetupError::new(format!("cannot read {}: {error}", path.display()))
}

fn refused(error: minijinja::Error) -> SetupError {
    SetupError::new(format!("template: {error}"))
}

#[cfg(test)]
mod tests;
