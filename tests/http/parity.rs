//! One service behind every door: over real sockets, axum and actix-web answer byte for byte as the bare service does,
//! and to each other's likeness on an application's own routes.

use std::net::SocketAddr;

use actix_web::HttpServer;
use auth_system::auth_core::testing::InsecureCountingRandom;
use auth_system::config::Profile;
use auth_system::{Auth, Config};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::conventions::{ROWS, refusals, successes};
use crate::door::{Driver, actix_app, axum_app};
use crate::faults::Faults;
use crate::place::Store;
use crate::world::{self, Answer, Call, Ground, World, call, get, post};

/// Three worlds that are alike to the last random byte, each behind another door.
struct Doors {
    bare: World,
    axum: (World, SocketAddr),
    actix: (World, SocketAddr),
}

impl Doors {
    async fn open(configure: fn(&mut Config)) -> Self {
        let [bare, axum, actix] = [world(configure).await, world(configure).await, world(configure).await];
        let axum_address = serve_axum(&axum.auth).await;
        let actix_address = serve_actix(&actix.auth);
        Self { bare, axum: (axum, axum_address), actix: (actix, actix_address) }
    }

    /// The same steps in each world, and what came of them, which is the same as well.
    async fn each<T: std::fmt::Debug + PartialEq>(&self, step: impl AsyncFn(&World) -> T) -> T {
        let [bare, axum, actix] = [step(&self.bare).await, step(&self.axum.0).await, step(&self.actix.0).await];
        assert_eq!(bare, axum);
        assert_eq!(bare, actix);
        bare
    }

    async fn alike(&self, call: &Call) -> Seen {
        // From the address that the sockets have.
        let peer = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let bare = Seen::bare(self.bare.send(Call { peer, ..call.clone() }).await);
        let [axum, actix] = [over(self.axum.1, call).await, over(self.actix.1, call).await];
        assert_eq!(axum, bare, "axum: {call:?}");
        assert_eq!(actix, bare, "actix-web: {call:?}");
        bare
    }
}

async fn world(configure: fn(&mut Config)) -> World {
    let world = Ground { store: Store::Memory, driver: Driver::Bare }.world().await;
    let mut config = world::config();
    configure(&mut config);
    let builder = Faults::default().builder(&world, config).random(InsecureCountingRandom::default());
    let auth = builder.without_workers().build().unwrap();
    world.around(auth)
}

pub(crate) async fn serve_axum(auth: &Auth) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum_app(auth).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub(crate) fn serve_actix(auth: &Auth) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let auth = auth.clone();
    let server = HttpServer::new(move || actix_app(&auth)).workers(1).disable_signals().listen(listener).unwrap();
    tokio::spawn(server.run());
    address
}

/// An answer as the client has it, without what tells the time or is the connection's.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    /// By name; of one name, in their order.
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Seen {
    fn new(status: u16, headers: impl Iterator<Item = (String, String)>, body: Bytes) -> Self {
        let mut headers: Vec<_> = headers.filter(|(name, _)| !["date", "connection"].contains(&&**name)).collect();
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { status, headers, body }
    }

    /// What a server must make of the bare service's answer: only the length is missing there.
    fn bare(answer: Answer) -> Self {
        let Answer { status, mut headers, body } = answer;
        if status != 204 && !headers.contains_key("content-length") {
            headers.insert("content-length", body.len().into());
        }
        let text = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        Self::new(status.as_u16(), headers.iter().map(text), body)
    }
}

/// Sends a call over a connection of its own.
async fn over(address: SocketAddr, call: &Call) -> Seen {
    let mut sent =
        format!("{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", call.method, call.path).into_bytes();
    for (name, value) in &call.headers {
        sent.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if call.headers.contains_key("transfer-encoding") {
        sent.extend(format!("\r\n{:x}\r\n", call.body.len()).bytes().chain(call.body.iter().copied()));
        sent.extend(b"\r\n0\r\n\r\n");
    } else {
        sent.extend(format!("content-length: {}\r\n\r\n", call.body.len()).bytes().chain(call.body.iter().copied()));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may close early; what it said is still to be read.
    let _ = stream.write_all(&sent).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer to {call:?}"));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.into(), value.into()));
    Seen::new(status, headers, bytes[end + 4..].to_vec().into())
}

/// What can be wrong about a call.
fn spoiled(call: &Call) -> Vec<Call> {
    let with = |name, value: &str| call.clone().header(name, value);
    let of_type = |name: &str, body: String| {
        let mut call = Call { body: body.into(), ..call.clone() };
        call.headers.insert("content-type", name.parse().unwrap());
        call
    };
    let json = |body: String| of_type("application/json", body);
    let method = |method| Call { method, ..call.clone() };
    let path = |path: String| Call { path, ..call.clone() };
    let without_cookies = || {
        let mut call = call.clone();
        call.headers.remove("cookie");
        call
    };
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(70_000));
    vec![
        json("{".into()),
        json("[]".into()),
        json("{}".into()),
        json("{\"email\":7,\"password\":null,\"code\":[]}".into()),
        json("\u{0}".into()),
        json(long.clone()),
        json(long).header("transfer-encoding", "chunked"),
        of_type("application/x-www-form-urlencoded", "a=%zz&email=ada%40example.org".into()),
        of_type("text/plain", "x".into()),
        method(Method::HEAD),
        method(Method::OPTIONS),
        method(Method::PUT),
        method(Method::DELETE),
        method(Method::from_bytes(b"BREW").unwrap()),
        Call { method: Method::OPTIONS, ..with("origin", "https://app.example.org") },
        path(call.path.replacen("/api/auth/", "/api/auth//", 1)),
        path(call.path.replacen("auth", "%61uth", 1).replacen("/%61uth/", "/auth/%6D", 1)),
        path(format!("{}&x=%", call.path.replacen("uid=", "uid=%zz", 1))),
        with("origin", "https://evil.example"),
        with("origin", "https://app.example.org").header("origin", "https://app.example.org"),
        with("sec-fetch-site", "cross-site"),
        with("sec-purpose", "prefetch"),
        with("x-large", &"x".repeat(40_000)),
        without_cookies(),
        without_cookies()
            .header("cookie", "__Host-access_token=x; __Host-access_token=y; __Host-refresh_token=x")
            .header("cookie", "__Host-refresh_token=y"),
        without_cookies().header("cookie", "__Host-access_token=x").header("cookie", "__Host-access_token=y"),
    ]
}

/// The same call, spelled another way.
fn without_slash(call: &Call) -> Call {
    Call { path: call.path.replacen("/?", "?", 1).trim_end_matches('/').to_owned(), ..call.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_does_its_work_alike() {
    let doors = Doors::open(|_| {}).await;
    let calls = doors.each(successes).await;
    assert_eq!(calls.len(), ROWS.len());
    for (number, call) in calls.iter().enumerate() {
        let call = if number % 2 == 0 { call.clone() } else { without_slash(call) };
        let seen = doors.alike(&call).await;
        assert!((200..300).contains(&seen.status), "{call:?} {seen:?}");
    }
    assert!(doors.each(async |world| world.events.take().len()).await > 0);
    doors.each(World::mails).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_refuses_alike() {
    let doors = Doors::open(|_| {}).await;
    for call in doors.each(successes).await {
        for spoiled in spoiled(&call) {
            doors.alike(&spoiled).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_no_endpoint_is_refused_alike() {
    let profiles: [fn(&mut Config); 2] = [|_| {}, |config| config.profile = Profile::Django];
    for configure in profiles {
        let doors = Doors::open(configure).await;
        for (status, call) in refusals() {
            assert_eq!(doors.alike(&call).await.status, status);
        }
        for path in ["", "/", "nothing", "nothing/", "me//", "login/x"] {
            for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS] {
                assert_eq!(doors.alike(&call(method, &format!("/api/auth/{path}"))).await.status, 404);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_routes_let_in_and_refuse_alike() {
    let doors = Doors::open(|_| {}).await;
    let jar = doors
        .each(async |world| {
            world.account("ada@example.org").await;
            world.session("ada@example.org").await
        })
        .await;
    let both = |a: &str, b: &str| format!("__Host-access_token={a}; __Host-access_token={b}");
    for path in ["/open", "/whoami", "/maybe", "/required", "/nothing"] {
        for (call, cookies) in [
            (get(path), String::new()),
            (get(path), format!("__Host-access_token={}", jar.access())),
            (post(path), format!("__Host-access_token={}", jar.access())),
            (post(path).header("origin", "https://evil.example"), format!("__Host-access_token={}", jar.access())),
            (get(path).header("origin", "https://app.example.org"), "__Host-access_token=x".to_owned()),
            (get(path), both("x", "y")),
            (get(path), both("x", jar.access())),
            (get(path), both(jar.access(), jar.access())),
        ] {
            let call = if cookies.is_empty() { call } else { call.header("cookie", &cookies) };
            let [axum, actix] = [over(doors.axum.1, &call).await, over(doors.actix.1, &call).await];
            assert_eq!(axum, actix, "{call:?}");
        }
    }
}
