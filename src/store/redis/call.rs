//! What is asked of Redis.

use redis::{Cmd, Script, ToRedisArgs};

/// One command or one script, on one key: the key alone decides which node of a cluster is asked.
pub(super) struct Call {
    pub(super) key: String,
    pub(super) command: Cmd,
    /// For a server that does not know it by its name.
    pub(super) script: Option<&'static Script>,
}

impl Call {
    pub(super) fn command(name: &str, key: String) -> Self {
        let mut command = redis::cmd(name);
        command.arg(&key);
        Self { key, command, script: None }
    }

    pub(super) fn script(script: &'static Script, key: String) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(1).arg(&key);
        Self { key, command, script: Some(script) }
    }

    pub(super) fn arg(&mut self, value: impl ToRedisArgs) -> &mut Self {
        self.command.arg(value);
        self
    }
}
