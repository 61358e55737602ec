//! The OpenAPI 3.1 document, made of the table of operations and of the types that are read and written.

use std::sync::OnceLock;

use http::StatusCode;
use kho_proto::report;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operations::{Form, OPERATIONS, Operation, REFUSED_ANYWHERE, Verb};
use super::problem::{PROBLEM, Problem};

/// Where OpenAPI keeps schemas.
const COMPONENTS: &str = "/components/schemas";

/// Schemas of types, gathered while the document is made.
pub(super) struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
    others: Map<String, Value>,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = COMPONENTS.into());
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
            others: Map::new(),
        }
    }

    /// Of a type that is read.
    pub fn request<T: JsonSchema>(&mut self) -> Value {
        self.requests.subschema_for::<T>().to_value()
    }

    /// Of a type that is written.
    pub fn answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }

    /// Of a report document.
    pub fn report(&mut self) -> Value {
        let mut schema = report::schema().to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
        }
        self.others.insert("Report".to_owned(), schema);
        json!({ "$ref": format!("#{COMPONENTS}/Report") })
    }

    fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.others;
        all.extend(self.requests.take_definitions(true));
        all.extend(self.answers.take_definitions(true));
        all.sort_keys();
        all
    }
}

/// The document.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut text = serde_json::to_string_pretty(&build()).unwrap_or_default();
        text.push('\n');
        text
    })
}

fn build() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let method = match operation.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let described = describe(operation, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method.to_owned(), described);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kho",
            "version": "1",
            "description": "Signed reports in, receipts out: HTTP and JSON beside gRPC, with the same rules and error codes. \
                docs/http.md is where to begin. Moments are RFC 3339 with +07:00; 64-bit numbers are JSON numbers below 2^53.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "certificate": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": {
                "certificate": {
                    "type": "mutualTLS",
                    "description": "A client certificate with urn:kho:role:ROLE and units (docs/formats/signature.md).",
                },
            },
        },
    })
}

fn content(forms: &[Form], schemas: &mut Schemas) -> Value {
    let forms = forms.iter().map(|form| (form.media_type.to_owned(), json!({ "schema": (form.schema)(schemas) })));
    Value::Object(forms.collect())
}

fn describe(operation: &Operation, schemas: &mut Schemas) -> Value {
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "in": parameter.place.as_str(),
                "required": parameter.required,
                "description": parameter.about,
                "schema": (parameter.schema)(),
            })
        })
        .collect();
    let mut responses = Map::new();
    for (status, meaning) in operation.good {
        responses.insert(
            status.to_string(),
            json!({ "description": meaning, "content": content(operation.answer, schemas) }),
        );
    }
    let mut refused: Vec<u16> = [REFUSED_ANYWHERE, operation.refused].concat();
    refused.sort_unstable();
    for status in refused {
        responses.insert(status.to_string(), refusal(status, schemas));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if !operation.body.is_empty() {
        described["requestBody"] = json!({ "required": true, "content": content(operation.body, schemas) });
    }
    described
}

fn refusal(status: u16, schemas: &mut Schemas) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        return json!({ "description": format!("{reason}: said before the request is looked at, without a body.") });
    }
    let mut described = json!({
        "description": format!("{reason}. The code says what was wrong: docs/errors."),
        "content": { PROBLEM: { "schema": schemas.answer::<Problem>() } },
    });
    if matches!(status, 429 | 503) {
        described["headers"] = json!({
            "Retry-After": { "description": "Seconds.", "schema": { "type": "integer", "minimum": 1 } },
        });
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        if std::env::var_os("KHO_WRITE_SCHEMA").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == document(), "docs/openapi.json: run with KHO_WRITE_SCHEMA=1");
    }

    #[test]
    fn operations_have_names_of_their_own_and_every_reference_leads_somewhere() {
        let ids: std::collections::BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        let text = document();
        let document: Value = serde_json::from_str(text).unwrap();
        for (place, _) in text.match_indices("\"$ref\": \"#") {
            let pointer = text[place + "\"$ref\": \"#".len()..].split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn every_refusal_of_a_request_is_a_status_that_is_described() {
        use crate::web::problem::status;
        use kho_proto::error::{Code, Kind};
        let submit = OPERATIONS.iter().find(|operation| operation.id == "submitRecord").unwrap();
        let described = [REFUSED_ANYWHERE, submit.refused].concat();
        // of other calls, paths and tools
        let elsewhere = [404, 405, 410];
        for code in Code::ALL.iter().filter(|code| code.kind() != Kind::Startup) {
            let status = status(*code).as_u16();
            assert!(described.contains(&status) || elsewhere.contains(&status), "{code:?}: {status}");
        }
    }
}
