//! Asks by HTTP.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use serde_json::Value;

/// How long a request may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends one request over a connection of its own, and reads the whole answer. Names of Services resolve.
pub async fn send(request: Request<String>) -> anyhow::Result<Response<String>> {
    let what = format!("{} {}", request.method(), request.uri());
    let exchange = async {
        let client = HttpClient::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let (head, body) = client.request(request.map(|body| Full::new(body.into()))).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(Response::from_parts(head, String::from_utf8(body.to_vec())?))
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
    answer.with_context(|| format!("{what}: no answer within {ANSWER_TIMEOUT:?}"))?.with_context(|| what)
}

/// The answer to some JSON, which has to be good.
pub(crate) async fn post(url: &str, body: &Value) -> anyhow::Result<Value> {
    let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(body.to_string())?;
    let (head, text) = send(request).await?.into_parts();
    ensure!(head.status.is_success(), "POST {url}: {} {text}", head.status);
    Ok(serde_json::from_str(&text)?)
}

/// The status code and the text of an answer.
pub async fn get(url: &str) -> anyhow::Result<(u16, String)> {
    let answer = send(Request::get(url).body(String::new())?).await?;
    Ok((answer.status().as_u16(), answer.into_body()))
}
