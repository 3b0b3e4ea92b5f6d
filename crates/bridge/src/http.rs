//! Metrics and probes over HTTP: `/metrics`, `/healthz` and `/readyz`.
//!
//! Nothing here changes anything, and nothing here may hurt the bridge: connections are few, and none
//! lasts long. There is no login and no TLS: it is meant for an address that only the monitoring
//! reaches.

use crate::metrics::{Metrics, OPEN_METRICS};
use crate::probes::Probes;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

/// More connections than this wait their turn.
const CONNECTIONS: usize = 16;
/// How long one may last, from its first byte to its last.
const LONGEST: Duration = Duration::from_secs(5);

type Page = Response<Full<Bytes>>;

/// What is shown.
#[derive(Clone)]
pub struct Pages {
    pub metrics: Arc<Metrics>,
    pub probes: Arc<Probes>,
}

/// Takes the address, and serves there until the process ends.
pub async fn start(address: SocketAddr, pages: Pages) -> Result<(), String> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("http.listen {address}: {e}"))?;
    let address = listener.local_addr().unwrap_or(address);
    info!("metrics at http://{address}/metrics");
    tokio::spawn(serve(listener, pages));
    Ok(())
}

async fn serve(listener: TcpListener, pages: Pages) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = pages.clone();
                tokio::spawn(async move {
                    converse(stream, pages).await;
                    drop(place);
                });
            }
            // No descriptors are left, for example. The next attempt may find one.
            Err(error) => {
                debug!("http.listen: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, pages: Pages) {
    let service = service_fn(|request: Request<Incoming>| {
        let page = pages.answer(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(page) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(LONGEST, connection).await {
        debug!("http: {error}");
    }
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Page {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut page = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            page.headers_mut().insert(ALLOW, allowed);
            return page;
        }
        match path {
            "/metrics" => match self.metrics.encode() {
                Ok(all) => page(StatusCode::OK, OPEN_METRICS, all),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            "/healthz" if self.probes.is_alive() => {
                json_page(StatusCode::OK, &json!({"alive": true}))
            }
            "/healthz" => json_page(StatusCode::SERVICE_UNAVAILABLE, &json!({"alive": false})),
            "/readyz" => {
                let reasons = self.probes.reasons();
                if reasons.is_empty() {
                    return json_page(StatusCode::OK, &json!({"ready": true}));
                }
                let body = json!({"ready": false, "reasons": reasons});
                json_page(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
            _ => text(StatusCode::NOT_FOUND, "/metrics, /healthz, /readyz\n"),
        }
    }
}

fn text(status: StatusCode, body: &str) -> Page {
    page(status, "text/plain; charset=utf-8", body.to_owned())
}

fn json_page(status: StatusCode, body: &serde_json::Value) -> Page {
    page(status, "application/json", format!("{body}\n"))
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Page {
    let mut page = Response::new(Full::from(body));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{MQTT, REDIS};
    use http_body_util::BodyExt;

    fn pages() -> Pages {
        let metrics = Arc::new(Metrics::new(&["native"]));
        let probes = Arc::new(Probes::new(&[MQTT, REDIS], metrics.clone()));
        Pages { metrics, probes }
    }

    fn get(pages: &Pages, path: &str) -> (u16, String) {
        let page = pages.answer(&Method::GET, path);
        let status = page.status().as_u16();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let body = runtime.block_on(page.into_body().collect()).unwrap();
        (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    #[test]
    fn ready_or_the_reasons() {
        let pages = pages();
        pages.probes.set(MQTT, Ok(()));
        pages.probes.set(REDIS, Err("LOADING \"x\""));
        assert_eq!(
            get(&pages, "/readyz"),
            (
                503,
                "{\"ready\":false,\"reasons\":{\"redis\":\"LOADING \\\"x\\\"\"}}\n".to_owned()
            )
        );
        assert_eq!(get(&pages, "/healthz").0, 200);
        pages.probes.set(REDIS, Ok(()));
        assert_eq!(
            get(&pages, "/readyz"),
            (200, "{\"ready\":true}\n".to_owned())
        );
        assert!(get(&pages, "/metrics")
            .1
            .contains("devicestate_bridge_ready 1\n"));
    }

    #[test]
    fn nothing_else_is_there() {
        let pages = pages();
        assert_eq!(get(&pages, "/").0, 404);
        assert_eq!(get(&pages, "/metrics/").0, 404);
        let page = pages.answer(&Method::POST, "/metrics");
        assert_eq!(page.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
