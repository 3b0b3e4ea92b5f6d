use super::*;

const EXAMPLE: &str = include_str!("../../../../devicestate-bridge.toml.example");

fn no_env(_: &str) -> Option<String> {
    None
}

fn checked(text: &str) -> Result<Peers, String> {
    Config::from_toml(text)?.check(no_env)
}

#[test]
fn the_example_shows_every_setting_with_its_default() {
    assert_eq!(Config::from_toml(EXAMPLE), Ok(Config::default()));
    assert_eq!(
        Config::default().mqtt.url.0,
        Config::from_toml(EXAMPLE).unwrap().mqtt.url.0
    );
    let table: toml::Table = EXAMPLE.parse().unwrap();
    let names = |table: &toml::Table| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&table),
        [
            "aws_shadow",
            "dead_letters",
            "downlink",
            "drain_timeout",
            "http",
            "log",
            "log_format",
            "mqtt",
            "profiles",
            "protobuf",
            "queue",
            "redis"
        ]
    );
    let section = |name: &str| names(table[name].as_table().unwrap()).len();
    assert_eq!((section("mqtt"), section("redis")), (14, 9));
    assert_eq!((section("dead_letters"), section("aws_shadow")), (2, 2));
    assert_eq!(section("queue"), 7);
    assert_eq!(section("downlink"), 7);
    assert_eq!(section("http"), 1);
    // `rule` is shown in comments: a list of sections has no default to show.
    assert_eq!(section("protobuf"), 3);
}

#[test]
fn an_empty_file_means_the_defaults_and_they_are_valid() {
    assert_eq!(Config::from_toml(""), Ok(Config::default()));
    let peers = checked("").unwrap();
    assert_eq!(peers.broker.to_string(), "127.0.0.1:1883");
    assert_eq!(peers.redis.to_string(), "127.0.0.1:6379");
}

#[test]
fn a_misspelt_setting_is_an_error_with_its_line() {
    let error = Config::from_toml("log = \"info\"\n[mqtt]\nprefx = \"a\"\n").unwrap_err();
    assert!(
        error.starts_with("line 3: unknown field `prefx`"),
        "{error}"
    );
}

#[test]
fn an_error_does_not_show_the_password_beside_it() {
    for text in [
        "[redis]\nurl = \"redis://:secret@h\" x\n",
        "[redis]\nurl = [\"redis://:secret@h\"]\n",
        "[redis]\nurl = \"redis+sentinel://:secret@h\"\n",
        "[redis]\nurl = \"rediss://:secret@h\"\n[redis.tls]\nca = \"/nowhere\"\n",
        "[redis]\nurl = \"redis://:secret@h:x\"\n",
        "[redis]\nurl = \"redis://:secret@h/1\"\n",
        "[mqtt]\nurl = \"mqtt://u:secret@h:x\"\n",
        "[mqtt]\nurl = \"http://u:secret@h\"\n",
    ] {
        let error = checked(text).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
    let config = Config::from_toml("[mqtt]\nurl = \"mqtt://u:secret@h\"").unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    assert!(!format!("{:?}", config.check(no_env).unwrap().broker).contains("secret"));
}

#[test]
fn values_outside_their_range_are_refused() {
    for text in [
        "[mqtt]\nreceive_maximum = 0",
        "[mqtt]\nreceive_maximum = 70000",
        "[mqtt]\nmax_payload = 10",
        "[mqtt]\nqos1_buffer = 1",
        "[mqtt]\nsession_expiry = \"1s\"",
        "[mqtt]\nkeep_alive = \"20h\"",
        "[mqtt]\nkeep_alive = -1",
        "[mqtt]\nkeep_alive = \"soon\"",
        "[mqtt]\nclient_id = \"\"",
        "[mqtt]\nprefix = \"a/#\"",
        "[redis]\nworkers = 0",
        "[redis]\nbatch = 0",
        "[redis]\nresponse_timeout = \"500ms\"",
        "[queue]\nkey = \"\"",
        "[queue]\ncount = 0",
        "[queue]\nttl = 0",
        "[queue]\nlease = \"100ms\"",
        "log = \"loud\"",
        "log_format = \"xml\"",
        "[http]\nlisten = \"9464\"",
        "profiles = []",
        "profiles = [\"native\", \"native\"]",
        "profiles = [\"azure\"]",
    ] {
        assert!(checked(text).is_err(), "{text}");
    }
}

#[test]
fn logins_come_from_the_environment_first() {
    let env = |name: &str| match name {
        "DEVICESTATE_REDIS_PASSWORD" => Some("r".to_owned()),
        "DEVICESTATE_MQTT_USER" => Some("u".to_owned()),
        "DEVICESTATE_MQTT_PASSWORD" => Some("m".to_owned()),
        _ => None,
    };
    let text = "[mqtt]\nurl = \"mqtt://x:y@h\"\n[redis]\nurl = \"redis://name:z@h\"";
    let peers = Config::from_toml(text).unwrap().check(env).unwrap();
    assert_eq!(peers.broker.user.as_deref(), Some("u"));
    assert_eq!(peers.broker.password.as_deref(), Some("m"));
}

#[test]
fn a_password_comes_from_a_file_unless_the_environment_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (first, second) = (write("first", "one\n"), write("second", "two"));
    let text = "[mqtt]\nurl = \"mqtt://u:zero@h\"\npassword_file = \"first\"";
    let password = |env: &dyn Fn(&str) -> Option<String>| {
        let mut config = Config::from_toml(text).unwrap();
        config.anchor(folder.path());
        config.check(env).map(|peers| peers.broker.password)
    };
    assert_eq!(password(&no_env), Ok(Some("one".to_owned())));
    let by_file = |name: &str| (name == "DEVICESTATE_MQTT_PASSWORD_FILE").then(|| second.clone());
    assert_eq!(password(&by_file), Ok(Some("two".to_owned())));
    let given = |name: &str| match name {
        "DEVICESTATE_MQTT_PASSWORD" => Some("three".to_owned()),
        _ => by_file(name),
    };
    assert_eq!(password(&given), Ok(Some("three".to_owned())));
    for wrong in ["", "\n", "two\nlines\n"] {
        std::fs::write(&first, wrong).unwrap();
        let error = password(&no_env).unwrap_err();
        assert!(error.starts_with("mqtt.password_file: "), "{error}");
    }
    std::fs::remove_file(&first).unwrap();
    let error = password(&no_env).unwrap_err();
    assert!(error.starts_with("mqtt.password_file: "), "{error}");
}

#[test]
fn what_nothing_would_use_is_a_mistake() {
    for (text, says) in [
        ("[mqtt.tls]\nca = \"x\"", "mqtt.tls is set, but"),
        ("[redis.tls]\ncert = \"x\"", "redis.tls is set, but"),
        (
            "[redis.sentinel]\nuser = \"x\"",
            "redis.sentinel is set, but",
        ),
        (
            "[mqtt]\nurl = \"mqtts://h\"\n[mqtt.tls]\ncert = \"/dev/null\"",
            "mqtt.tls needs both",
        ),
        (
            "[redis]\nurl = \"rediss://h\"\n[redis.tls]\nca = \"/dev/null\"",
            "redis.tls.ca has no certificate",
        ),
        (
            "[redis]\nurl = \"rediss://h\"\n[redis.tls]\nca = \"/nowhere\"",
            "redis.tls.ca: /nowhere: No such file",
        ),
        ("[mqtt]\nshare = \"a/b\"", "mqtt.share"),
    ] {
        let error = checked(text).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn each_instance_has_a_client_id_of_its_own() {
    let id = |text| Config::from_toml(text).unwrap().mqtt.client_id();
    assert_eq!(id(""), "devicestate-bridge-0");
    assert_eq!(id("[mqtt]\nclient_id = \"b\"\ninstance = 12"), "b-12");
}
