//! `http`: what a server must answer: a status, a body, a certificate that lasts.

use super::{Found, OUTPUT_MAX_BYTES};
use crate::exec::{
    http::{HttpClient, body_beginning, parse_url, root_cause},
    output::beginning,
};
use protocol::{
    document::{Expiry, HttpProbe, TextMatch, Verdict},
    time::format_span,
};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// As much of a body is looked through.
const BODY_MAX_BYTES: usize = 1 << 20;

pub(super) async fn probe(http: &HttpClient, probe: &HttpProbe) -> Found {
    let url = match parse_url(&probe.url) {
        Ok(url) => url,
        Err(reason) => return Found::new(Verdict::Unknown, reason),
    };
    let response = match http.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Found::new(Verdict::Fail, root_cause(&error)),
    };
    let answered = response.status();
    let certificate = probe.tls_expires_within.map(|expiry| certificate(&response, expiry));
    let bytes = if probe.body.is_some() { BODY_MAX_BYTES } else { OUTPUT_MAX_BYTES };
    let body = body_beginning(response, bytes).await;
    let mut verdict = Verdict::Pass;
    let mut said = vec![format!("answered {answered}")];
    if answered.as_u16() != probe.status {
        verdict = Verdict::Fail;
        said = vec![format!("answered {answered}, not {}", probe.status)];
    } else if let Some(wanted) = &probe.body
        && !wanted.fits(&body)
    {
        verdict = Verdict::Fail;
        said.push(match wanted {
            TextMatch::Contains(text) => format!("the body does not hold {text:?}"),
            TextMatch::Matches(pattern) => format!("the body does not match {pattern}"),
        });
    }
    if let Some((judged, lasts)) = certificate {
        verdict = verdict.worse(judged);
        said.push(lasts);
    }
    Found {
        output: beginning(&body, OUTPUT_MAX_BYTES).to_owned(),
        ..Found::new(verdict, said.join(", "))
    }
}

fn certificate(response: &reqwest::Response, expiry: Expiry) -> (Verdict, String) {
    let info = response.extensions().get::<reqwest::tls::TlsInfo>();
    let Some(der) = info.and_then(|info| info.peer_certificate()) else {
        return (Verdict::Unknown, "no certificate was seen".to_owned());
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return (Verdict::Unknown, "the certificate cannot be read".to_owned());
    };
    let ends = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(ends).saturating_sub(now);
    // People reckon with days where there are days.
    let unit = if left > Duration::from_secs(2 * 86_400) { 86_400 } else { 60 };
    let shown = Duration::from_secs(left.as_secs() / unit * unit);
    (expiry.judge(left), format!("certificate expires in {}", format_span(shown)))
}
