//! The table of endpoints, and how an application changes it.

use std::fmt;

use auth_core::policy::{InvalidSetting, check_limit};
use auth_core::types::Limit;
use http::Method;

use super::answer::Answer;
use super::field::{Fields, Form};
use super::operation::{Call, Next, Operation, parameter_name};
use super::refusal::Refusal;
use crate::config::Throttles;

/// All rows.
pub(crate) struct Table {
    rows: Vec<Operation>,
}

impl Table {
    pub(crate) fn new(rows: Vec<Operation>) -> Self {
        Self { rows }
    }

    /// All rows.
    #[cfg(feature = "openapi")]
    pub(super) fn rows(&self) -> &[Operation] {
        &self.rows
    }

    /// The rows at a path below the public one; of several that match, those with the fewest parameters.
    pub(super) fn at(&self, below: &str) -> Vec<&Operation> {
        let parameters = |row: &Operation| row.path.bytes().filter(|byte| *byte == b'{').count();
        let matching = || self.rows.iter().filter(|row| row.matches(below));
        let least = matching().map(parameters).min();
        matching().filter(|row| Some(parameters(row)) == least).collect()
    }

    /// Refuses limits by address that are out of range, and settings for ones that no row has.
    pub(crate) fn check(&self, throttles: &Throttles) -> Result<(), InvalidSetting> {
        for throttle in self.rows.iter().filter_map(|row| row.throttle) {
            throttle.check(throttles)?;
        }
        let names = || self.rows.iter().filter_map(|row| Some(row.throttle?.name));
        match throttles.names().find(|name| !names().any(|known| known == *name)) {
            None => Ok(()),
            Some(name) => {
                let mut known: Vec<_> = names().collect();
                known.sort_unstable();
                known.dedup();
                let problem = format!("no endpoint has a limit named `{name}`: there are {}", known.join(", "));
                Err(InvalidSetting::new("throttles", problem))
            }
        }
    }
}

/// The `Allow` of some rows.
pub(super) fn allow(rows: &[&Operation]) -> String {
    let mut methods = Vec::new();
    for row in rows {
        methods.push(row.method.as_str());
        if row.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// The table of endpoints, to be changed by [`AuthBuilder::operations`](crate::AuthBuilder::operations).
///
/// A row is named by its method and its path below the public path, with the slash at its end: `POST` and `login/`.
/// [`AuthBuilder::build`](crate::AuthBuilder::build) reports invalid changes.
pub struct Operations<'a> {
    table: &'a mut Table,
    problem: Option<InvalidSetting>,
}

impl<'a> Operations<'a> {
    pub(crate) fn new(table: &'a mut Table) -> Self {
        Self { table, problem: None }
    }

    /// The first invalid change.
    pub(crate) fn outcome(self) -> Result<(), InvalidSetting> {
        self.problem.map_or(Ok(()), Err)
    }

    /// Takes a row away: its path answers as if it had never been there.
    pub fn remove(&mut self, method: Method, path: &str) -> &mut Self {
        if let Some(at) = self.find(&method, path) {
            self.table.rows.remove(at);
        }
        self
    }

    /// Adds a row.
    pub fn add(&mut self, row: Operation) -> &mut Self {
        if self.position(&row.method, row.path).is_some() {
            return self.refuse(format!("{} {} is there already: replace it", row.method, row.path));
        }
        let segments = row.path.strip_suffix('/').unwrap_or(row.path).split('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let fits = |segment: &str| match parameter_name(segment) {
            Some(name) => is_name(name),
            None => !segment.is_empty() && segment.chars().all(plain),
        };
        if !segments.into_iter().all(fits) {
            return self.refuse(format!("`{}` is no path such as `invitations/` or `invitations/{{id}}/`", row.path));
        }
        if let Some(Err(problem)) = row.throttle.map(|throttle| check_limit("operations", throttle.default)) {
            return self.refuse(format!("{} {}: {}", row.method, row.path, problem.problem));
        }
        self.table.rows.push(row);
        self
    }

    /// Puts a row of the application's own in the place of one that is there.
    pub fn replace(&mut self, row: Operation) -> &mut Self {
        if let Some(at) = self.find(&row.method, row.path) {
            self.table.rows.remove(at);
            self.add(row);
        }
        self
    }

    /// Runs `around` in the place of a row; it calls [`Next::run`] to go on. The session check of the row comes first,
    /// so `around` never sees a call that lacks the session, or the scope, that the row asks for.
    pub fn wrap<W, R>(&mut self, method: Method, path: &str, around: W) -> &mut Self
    where
        W: Fn(Call, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        self.wrap_reading(method, path, (), move |call, _, next| around(call, next))
    }

    /// As [`wrap`](Self::wrap), where `around` reads fields of its own, beside those of the row.
    pub fn wrap_reading<F, W, R>(&mut self, method: Method, path: &str, fields: F, around: W) -> &mut Self
    where
        F: Fields,
        W: Fn(Call, Form<F::Output>, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        if let Some(row) = self.find(&method, path).and_then(|at| self.table.rows.get_mut(at)) {
            row.wrap(fields, around);
        }
        self
    }

    /// Gives a row a limit by address of its own, in the place of the one that it had or of none.
    pub fn throttle(&mut self, method: Method, path: &str, limit: Limit) -> &mut Self {
        if let Some(at) = self.find(&method, path) {
            if let Err(problem) = check_limit("operations", limit) {
                return self.refuse(format!("{method} {path}: {}", problem.problem));
            }
            let row = self.table.rows.remove(at);
            self.table.rows.insert(at, row.throttled(limit));
        }
        self
    }

    fn position(&self, method: &Method, path: &str) -> Option<usize> {
        let path = path.trim_end_matches('/');
        self.table.rows.iter().position(|row| row.method == *method && row.path.trim_end_matches('/') == path)
    }

    fn find(&mut self, method: &Method, path: &str) -> Option<usize> {
        let at = self.position(method, path);
        if at.is_none() {
            self.refuse(format!("there is no {method} {path}"));
        }
        at
    }

    fn refuse(&mut self, problem: String) -> &mut Self {
        self.problem.get_or_insert_with(|| InvalidSetting::new("operations", problem));
        self
    }
}

impl fmt::Debug for Operations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.table.rows.iter().map(|row| format!("{} {}", row.method, row.path));
        f.debug_list().entries(rows).finish()
    }
}
