//! What is asked of Redis.

use redis::{Cmd, ToRedisArgs};

/// Gives scripts the `time`, in microseconds: the one that they were given or that of the server.
const TIME: &str = r"
    local function time(given)
        if given ~= '' then return tonumber(given) end
        local now = redis.call('TIME')
        return now[1] * 1000000 + now[2]
    end
    ";

/// One command or one script, on one key: the key alone decides which node of a cluster is asked.
pub(super) struct Call {
    pub(super) key: String,
    pub(super) command: Cmd,
}

impl Call {
    pub(super) fn command(name: &str, key: String) -> Self {
        let mut command = redis::cmd(name);
        command.arg(&key);
        Self { key, command }
    }

    /// Sent as text, so that no server has to know it.
    pub(super) fn script(text: &str, key: String) -> Self {
        let mut command = redis::cmd("EVAL");
        command.arg([TIME, text].concat()).arg(1).arg(&key);
        Self { key, command }
    }

    pub(super) fn arg(&mut self, value: impl ToRedisArgs) -> &mut Self {
        self.command.arg(value);
        self
    }
}
