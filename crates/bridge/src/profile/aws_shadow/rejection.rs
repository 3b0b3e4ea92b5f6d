//! Why a request was rejected, with the number that AWS gives it: the AWS IoT developer guide,
//! "Device Shadow error messages".

use super::topic::Shadow;
use redis::RedisError;

#[derive(Debug, PartialEq, Eq)]
pub struct Rejection {
    pub code: u16,
    pub message: String,
}

impl Rejection {
    pub fn new(code: u16, message: impl Into<String>) -> Rejection {
        Rejection {
            code,
            message: message.into(),
        }
    }

    pub fn no_shadow(shadow: &Shadow) -> Rejection {
        Rejection::new(404, format!("No shadow exists with name: {shadow}"))
    }

    /// What has to do with the server and not with the request. The device is told no more.
    pub fn internal() -> Rejection {
        Rejection::new(500, "Internal service failure")
    }

    /// What an error reply means for the device: the server's own number, where it gave one.
    pub fn of(error: &RedisError, shadow: &Shadow) -> Rejection {
        let text = error.detail().unwrap_or_default();
        if let Some((code, message)) = numbered(text) {
            return Rejection::new(code, message);
        }
        match error.code().unwrap_or_default() {
            "ERR" | "BADJSON" => Rejection::new(400, text),
            "NODEVICE" | "NOSHADOW" => Rejection::no_shadow(shadow),
            // A user of the bridge that may not touch this device.
            "NOPERM" => Rejection::new(403, "Forbidden"),
            "LIMIT" => Rejection::new(429, text),
            _ => Rejection::internal(),
        }
    }
}

/// The number in front of the text.
fn numbered(text: &str) -> Option<(u16, &str)> {
    let (number, message) = text.split_once(' ')?;
    let code = number.parse().ok()?;
    (400..600).contains(&code).then_some((code, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{ErrorKind, ServerErrorKind};

    /// As the client crate reads the server's line.
    fn rejected(reply: &str) -> (u16, String) {
        let (code, detail) = reply.split_once(' ').unwrap_or((reply, ""));
        let error = match code {
            "ERR" => RedisError::from((
                ErrorKind::Server(ServerErrorKind::ResponseError),
                "An error was signalled by the server",
                detail.to_owned(),
            )),
            _ => redis::make_extension_error(code.to_owned(), Some(detail.to_owned())),
        };
        let shadow = Shadow {
            thing: "lamp-1".into(),
            name: None,
        };
        let Rejection { code, message } = Rejection::of(&error, &shadow);
        (code, message)
    }

    #[test]
    fn the_servers_number_counts() {
        for (reply, code, message) in [
            (
                "ERR 400 Missing required node: state",
                400,
                "Missing required node: state",
            ),
            (
                "BADJSON 400 Invalid JSON: not a JSON object at line 1 column 1",
                400,
                "Invalid JSON: not a JSON object at line 1 column 1",
            ),
            (
                "VERSIONCONFLICT 409 Version conflict: 1 is not the current version, which is 2",
                409,
                "Version conflict: 1 is not the current version, which is 2",
            ),
            (
                "TOOLARGE 413 The payload exceeds the maximum size allowed: document: 9 bytes",
                413,
                "The payload exceeds the maximum size allowed: document: 9 bytes",
            ),
            (
                "NODEVICE 404 device 'lamp-1' is not registered",
                404,
                "device 'lamp-1' is not registered",
            ),
        ] {
            assert_eq!(rejected(reply), (code, message.to_owned()), "{reply}");
        }
    }

    #[test]
    fn others_get_the_number_of_their_kind() {
        let none = "No shadow exists with name: 'lamp-1'";
        for (reply, code, message) in [
            (
                "ERR invalid id: it is empty",
                400,
                "invalid id: it is empty",
            ),
            ("NOSHADOW No shadow exists with name: 'lamp-1'", 404, none),
            ("NODEVICE device 'lamp-1' is not registered", 404, none),
            ("NOPERM No permissions to access a key", 403, "Forbidden"),
            (
                "LIMIT 3 devices are registered",
                429,
                "3 devices are registered",
            ),
            (
                "WRONGTYPE the key 'device:state:lamp-1' holds a string",
                500,
                "Internal service failure",
            ),
            ("SOMETHINGNEW", 500, "Internal service failure"),
        ] {
            assert_eq!(rejected(reply), (code, message.to_owned()), "{reply}");
        }
    }
}
