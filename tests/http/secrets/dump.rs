//! What somebody finds who has got a copy of the stores.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use redis::cmd;
use sqlx::{AssertSqlSafe, Column as _, Row as _, ValueRef as _, query, query_scalar, raw_sql};

use crate::place::{Place, Servers};
use crate::redis_server;

/// A copy of all stores of a place.
#[derive(Default)]
pub(super) struct Dump {
    /// The very bytes that are kept, with what is left of rows that were changed or deleted.
    raw: Vec<u8>,
    /// What PostgreSQL notes of every write of all tests: looked through, too much to be tried.
    log: Vec<u8>,
    /// Each value of each row.
    values: BTreeSet<Vec<u8>>,
}

impl Dump {
    pub(super) async fn of(place: &Place) -> Self {
        let mut dump = Self::default();
        match place {
            Place::Memory(_) => panic!("nobody can copy this"),
            Place::Sqlite(folder) => {
                dump.raw = files(folder.path());
                place.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
                dump.raw.extend(files(folder.path()));
                dump.add_sqlite(place).await;
            }
            Place::Servers(servers) => {
                dump.add_postgres(servers).await;
                dump.add_redis(servers).await;
            }
        }
        dump
    }

    /// The schema's own table included.
    async fn add_sqlite(&mut self, place: &Place) {
        let mut connection = place.sqlite().await;
        let tables = query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' UNION SELECT 'sqlite_master'");
        let tables: Vec<String> = tables.fetch_all(&mut connection).await.unwrap();
        assert!(tables.len() > 7, "{tables:?}");
        for table in tables {
            let select = AssertSqlSafe(format!("SELECT * FROM \"{table}\""));
            for row in query(select).fetch_all(&mut connection).await.unwrap() {
                let value = |at| row.try_get_unchecked::<Option<Vec<u8>>, _>(at).unwrap();
                self.values.extend(row.columns().iter().filter_map(|column| value(column.ordinal())));
            }
        }
    }

    async fn add_postgres(&mut self, servers: &Servers) {
        let mut connection = servers.postgres().await;
        // From memory to the files.
        raw_sql("CHECKPOINT").execute(&mut connection).await.unwrap();
        // Tables, indexes and what tables put aside because it is long.
        let files = query_scalar(
            "WITH own AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
            SELECT pg_read_binary_file(pg_relation_filepath(oid))
            FROM (SELECT oid FROM own UNION SELECT reltoastrelid FROM own) AS relation (oid)
            WHERE pg_relation_filepath(oid) IS NOT NULL",
        );
        let files: Vec<Vec<u8>> = files.fetch_all(&mut connection).await.unwrap();
        self.raw.extend(files.concat());
        // Since there are tables. A file may be gone meanwhile.
        let log = query_scalar(
            "SELECT pg_read_binary_file('pg_wal/' || name, 0, size, true) FROM pg_ls_waldir()
            WHERE modification >= (SELECT date_trunc('second', min(installed_on)) FROM _auth_migrations)",
        );
        let log: Vec<Option<Vec<u8>>> = log.fetch_all(&mut connection).await.unwrap();
        self.log = log.into_iter().flatten().flatten().collect();

        let tables = query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()");
        let tables: Vec<String> = tables.fetch_all(&mut connection).await.unwrap();
        assert!(tables.len() > 6, "{tables:?}");
        for table in tables {
            let select = || AssertSqlSafe(format!("SELECT * FROM \"{table}\""));
            // As bytes, then as texts.
            let mut rows = query(select()).fetch_all(&mut connection).await.unwrap();
            rows.extend(raw_sql(select()).fetch_all(&mut connection).await.unwrap());
            for row in rows {
                let values = row.columns().iter().map(|column| row.try_get_raw(column.ordinal()).unwrap());
                let values = values.filter(|value| !value.is_null());
                self.values.extend(values.map(|value| value.as_bytes().unwrap().to_vec()));
            }
        }
    }

    async fn add_redis(&mut self, servers: &Servers) {
        let mut connection = redis_server::connect(&redis_server::url()).await;
        let keys = redis_server::keys(&mut connection, &servers.prefix()).await;
        for kind in ["pending:", "attempts:"] {
            assert!(keys.iter().filter(|key| key.contains(kind)).count() >= 2, "{keys:?}");
        }
        for key in keys {
            let digest = URL_SAFE_NO_PAD.decode(key.rsplit(':').next().unwrap()).unwrap();
            self.values.extend([digest, key.clone().into_bytes()]);
            self.raw.extend(key.as_bytes());
            self.raw.extend(cmd("DUMP").arg(&key).query_async::<Vec<u8>>(&mut connection).await.unwrap());
            for (name, value) in redis_server::fields(&mut connection, &key).await {
                self.raw.extend([name.as_bytes(), &value].concat());
                self.values.extend([name.into_bytes(), value]);
            }
        }
    }

    pub(super) fn shows(&self, part: &[u8]) -> bool {
        [&self.raw, &self.log].iter().any(|bytes| memmem::find(bytes, part).is_some())
    }

    /// What somebody may try: each value, and what looks like a text between them.
    pub(super) fn candidates(&self) -> BTreeSet<String> {
        let mut candidates: BTreeSet<_> = self.values.iter().flat_map(|value| spellings(value)).collect();
        let runs = self.raw.split(|&byte| !(byte.is_ascii_graphic() || byte == b' ')).filter(|run| run.len() >= 16);
        candidates.extend(runs.flat_map(|run| parts(str::from_utf8(run).unwrap())));
        candidates.retain(|candidate| (4..2000).contains(&candidate.len()));
        candidates
    }
}

/// All files of a folder, one after the other.
fn files(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

/// A value as text and, for it may be bytes, in the usual encodings.
fn spellings(value: &[u8]) -> Vec<String> {
    let mut spellings: Vec<_> = str::from_utf8(value).into_iter().flat_map(parts).collect();
    spellings.push(value.iter().map(|byte| format!("{byte:02x}")).collect());
    spellings.push(URL_SAFE_NO_PAD.encode(value));
    let ids = value.chunks_exact(16).filter_map(|id| uuid::Uuid::from_slice(id).ok());
    spellings.extend(ids.map(|id| id.to_string()));
    spellings
}

/// A text, and what stands between the marks of JSON, PHC strings and queries.
fn parts(text: &str) -> impl Iterator<Item = String> {
    let pieces = text.split(['$', '"', ',', ':', '=', '{', '}', '[', ']', '(', ')', ' ', '&']);
    pieces.chain([text]).filter(|piece| !piece.is_empty()).map(str::to_owned)
}
