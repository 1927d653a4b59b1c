//! The mails that wait to be sent.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::port::{
    ClaimedMail, DeadMail, DeadMails, MailIntent, MailMatter, MailOutbox, MailPurpose, Settlement, StoreError,
};
use auth_core::types::{Locale, MailId, Timestamp, UserId};

use super::error::Failure;
use super::row::{Fields, sql_limit, uuid_bytes};
use super::statement::{query, statements};
use super::{Database, SqlStore};

const COLUMNS: &str =
    "id, tenant, address, address_spelling, user_id, token_version, purpose, locale, tries, created_at";

statements! { COLUMNS;
    ENQUEUE = "
        INSERT INTO auth_mail_outbox
            (id, tenant, address, user_id, token_version, purpose, locale, state, due_at, tries, created_at, address_spelling)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, 0, $8, $9)
        ON CONFLICT (tenant, address, purpose, user_id, token_version) WHERE state = 'waiting'
        DO UPDATE SET id = excluded.id, tries = 0, address_spelling = excluded.address_spelling,
            due_at = {MIN|LEAST}(auth_mail_outbox.due_at, excluded.due_at)";
    // Waiting and due, or leased to a worker that did not settle in time: both are rows whose `due_at` has come. They are
    // chosen once, in a table of their own: as part of the update, the choice might be made anew for every row.
    CLAIM = "
        WITH due AS MATERIALIZED (
            SELECT id FROM auth_mail_outbox WHERE state <> 'dead' AND due_at <= $1 ORDER BY created_at, id LIMIT $3 {lock}
        )
        UPDATE auth_mail_outbox SET state = 'leased', due_at = $2, tries = tries + 1 WHERE id IN (SELECT id FROM due)
        RETURNING {columns}";
    DONE = "DELETE FROM auth_mail_outbox WHERE id = $1 AND tries = $2 AND state = 'leased' RETURNING id";
    RETRY = "
        UPDATE auth_mail_outbox SET state = 'waiting', due_at = $3
        WHERE id = $1 AND tries = $2 AND state = 'leased' RETURNING id";
    BURY = "
        UPDATE auth_mail_outbox SET state = 'dead', dead_reason = $3
        WHERE id = $1 AND tries = $2 AND state = 'leased' RETURNING id";
    DEAD = "
        SELECT {columns}, dead_reason FROM auth_mail_outbox WHERE state = 'dead' ORDER BY created_at, id LIMIT $1";
    REVIVE = "
        UPDATE auth_mail_outbox SET state = 'waiting', due_at = $2, tries = 0, dead_reason = NULL
        WHERE id = $1 AND state = 'dead' RETURNING id";
    REMOVE_DEAD = "DELETE FROM auth_mail_outbox WHERE id = $1 AND state = 'dead' RETURNING id";
}

#[async_trait]
impl<D: Database> MailOutbox for SqlStore<D> {
    async fn enqueue(&self, id: MailId, intent: &MailIntent, now: Timestamp) -> Result<(), StoreError> {
        let statement = |_| {
            query(&ENQUEUE)
                .bind(uuid_bytes(id.0))
                .bind(intent.tenant.as_str())
                .bind(intent.to.as_str())
                .bind(intent.about.as_ref().map_or("", |about| about.user.as_str()))
                .bind(intent.about.map_or(0, |about| about.token_version.get()))
                .bind(intent.purpose.as_str())
                .bind(intent.locale.as_str())
                .bind(now.micros())
                .bind(intent.to.other_spelling())
        };
        self.write(statement).await?;
        Ok(())
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<ClaimedMail>, StoreError> {
        let statement = |_| query(&CLAIM).bind(now.micros()).bind((now + lease).micros()).bind(sql_limit(limit));
        let rows = self.write(statement).await?;
        let mut mails = Vec::with_capacity(rows.len());
        for row in &rows {
            match read(&Fields(row)) {
                Ok(mail) => mails.push(mail),
                // One such row must not hold up the others. Its lease runs out, and a newer build may understand it.
                Err(cause) => tracing::error!(target: "auth", %cause, "a queued mail is unreadable"),
            }
        }
        // RETURNING has no order.
        mails.sort_by_key(|(created_at, mail)| (*created_at, mail.id));
        Ok(mails.into_iter().map(|(_, mail)| mail).collect())
    }

    async fn settle(&self, claim: &ClaimedMail, settlement: Settlement) -> Result<bool, StoreError> {
        let named = |statement| query(statement).bind(uuid_bytes(claim.id.0)).bind(claim.tries);
        let done = |_| named(&DONE);
        let settled = match settlement {
            Settlement::Done => self.write(done).await?,
            // What a mail server said; PostgreSQL takes no NUL.
            Settlement::Dead(reason) => self.write(|_| named(&BURY).bind(reason.replace('\0', ""))).await?,
            Settlement::Retry(at) => match self.write(|_| named(&RETRY).bind(at.micros())).await {
                Err(Failure::Duplicate(_)) => self.write(done).await?,
                settled => settled?,
            },
        };
        Ok(!settled.is_empty())
    }
}

#[async_trait]
impl<D: Database> DeadMails for SqlStore<D> {
    async fn dead_mails(&self, limit: usize) -> Result<Vec<DeadMail>, StoreError> {
        let rows = self.read(query(&DEAD).bind(sql_limit(limit))).await?;
        let dead = |row: &D::Row| {
            let row = Fields(row);
            let (_, ClaimedMail { id, intent, tries }) = read(&row)?;
            let reason = row.maybe("dead_reason", |text: &str| Some(text.to_owned()))?.unwrap_or_default();
            Ok(DeadMail { id, intent, tries, reason })
        };
        rows.iter().map(dead).collect()
    }

    async fn revive(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        let revived = self.write(|_| query(&REVIVE).bind(uuid_bytes(id.0)).bind(now.micros())).await;
        let settled = match revived {
            Err(Failure::Duplicate(_)) => self.write(|_| query(&REMOVE_DEAD).bind(uuid_bytes(id.0))).await?,
            revived => revived?,
        };
        Ok(!settled.is_empty())
    }
}

fn read(row: &Fields<'_>) -> Result<(Timestamp, ClaimedMail), StoreError> {
    // A unique index takes NULLs for different: what is about no account in particular has an empty id.
    let user = row.parse("user_id", |text: &str| match text {
        "" => Some(None),
        text => UserId::parse(text).ok().map(Some),
    })?;
    let token_version = row.token_version()?;
    let intent = MailIntent {
        tenant: row.tenant()?,
        to: row.email("address", "address_spelling")?,
        about: user.map(|user| MailMatter { user, token_version }),
        purpose: row.parse("purpose", MailPurpose::parse)?,
        locale: row.parse("locale", |text: &str| Some(Locale::parse_or_default(text)))?,
    };
    let mail = ClaimedMail { id: MailId(row.uuid("id")?), intent, tries: row.integer("tries")? };
    Ok((row.time("created_at")?, mail))
}
