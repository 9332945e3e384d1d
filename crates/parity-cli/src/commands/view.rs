//! `parity view`: the page of a comparison, served to this machine only.

use super::compare::{INSPECTED, compared};
use crate::args::{ColorWhen, View};
use crate::failure::Failure;
use crate::terminal;
use orch_log::Filter;
use parity::report::{Html, Render};
use parity::trace::Trace;
use parity::{Options, Which, inspect};
use std::io::Write;
use tiny_http::{Header, Method, Request, Response, Server};

/// Compares, says where the page is, and serves it until the process is interrupted.
pub(crate) fn run(args: &View, color: ColorWhen) -> Result<u8, Failure> {
    let traces = Traces {
        reference: Trace::open(&args.reference)?,
        candidate: Trace::open(&args.candidate)?,
    };
    let (reference_map, candidate_map) = args.maps.choices()?;
    let options = Options {
        filter: Filter::new(&args.checkpoint.join(",")),
        token_offset: args.token_offset,
        reference_map,
        candidate_map,
        cells: true,
        inspect: INSPECTED,
        ..Options::default()
    };
    let report = compared(&traces.reference, &traces.candidate, &options)?;
    let mut page = Vec::new();
    Html::SERVED.render(&report, &mut page)?;

    let server = Server::http(("127.0.0.1", args.port))
        .map_err(|error| Failure::message(format!("cannot serve on 127.0.0.1: {error}")))?;
    let Some(address) = server.server_addr().to_ip() else {
        return Err(Failure::message("cannot serve on 127.0.0.1"));
    };
    let token = token()?;
    let mut out = terminal::stdout(color);
    writeln!(out, "http://{address}/{token}/")?;
    out.flush()?;
    writeln!(terminal::stderr(color), "Ctrl-C ends it")?;

    let served = Served {
        host: address.to_string(),
        prefix: format!("/{token}/"),
        page,
        options,
        traces,
    };
    for request in server.incoming_requests() {
        let response = served.answer(&request);
        // A browser that went away is no failure of ours.
        let _ = request.respond(response);
    }
    Ok(parity::exit_code::AGREES)
}

struct Traces {
    reference: Trace,
    candidate: Trace,
}

struct Served {
    host: String,
    prefix: String,
    page: Vec<u8>,
    options: Options,
    traces: Traces,
}

type Answer = Response<std::io::Cursor<Vec<u8>>>;

impl Served {
    fn answer(&self, request: &Request) -> Answer {
        // A page of another site can make a browser ask under another name that leads here; it cannot forge this.
        let host = request
            .headers()
            .iter()
            .find(|header| header.field.equiv("Host"))
            .map(|header| header.value.as_str());
        let port = self.host.rsplit(':').next().unwrap_or_default();
        let is_here =
            host.is_some_and(|host| host == self.host || host == format!("localhost:{port}"));
        let Some(path) = request.url().strip_prefix(&self.prefix).filter(|_| is_here) else {
            return plain(404, "not found");
        };
        if *request.method() != Method::Get {
            return plain(405, "only GET");
        }
        match path.split_once('?').unwrap_or((path, "")) {
            ("", _) => with_type(
                Response::from_data(self.page.clone()),
                "text/html; charset=utf-8",
            ),
            ("inspect", query) => self.inspect(query),
            _ => plain(404, "not found"),
        }
    }

    fn inspect(&self, query: &str) -> Answer {
        let Some(which) = which(query) else {
            return plain(400, "expected `checkpoint`, `token_idx` and `seq`");
        };
        let Traces {
            reference,
            candidate,
        } = &self.traces;
        match inspect(reference, candidate, &self.options, &which) {
            Ok(Some(inspection)) => match serde_json::to_vec(&inspection) {
                Ok(json) => with_type(Response::from_data(json), "application/json"),
                Err(error) => plain(500, &error.to_string()),
            },
            Ok(None) => plain(404, "no such pair, or nothing of it could be measured"),
            Err(error) => plain(500, &error.to_string()),
        }
    }
}

fn which(query: &str) -> Option<Which> {
    let value = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    Some(Which {
        checkpoint: value("checkpoint")?,
        token_idx: value("token_idx")?.parse().ok()?,
        seq: value("seq")?.parse().ok()?,
    })
}

fn plain(code: u16, text: &str) -> Answer {
    with_type(
        Response::from_string(text).with_status_code(code),
        "text/plain; charset=utf-8",
    )
}

fn with_type(response: Answer, content_type: &str) -> Answer {
    let headers = [
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    ];
    headers
        .into_iter()
        .filter_map(|(name, value)| Header::from_bytes(name, value).ok())
        .fold(response, Response::with_header)
}

/// 128 random bits that the address carries.
fn token() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::message(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
