use serde_json::Value;

use super::super::lifetime::LIFETIME_PATTERN;
use super::*;

const LIMITS: DocumentLimits = DocumentLimits { value_bytes: 1000, batch_bytes: 7000 };

fn document() -> Value {
    serde_json::from_slice(&super::document(&LIMITS)).unwrap()
}

#[test]
fn every_operation_of_every_route_is_described() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut ids = std::collections::BTreeSet::new();
    for route in Route::ALL {
        let item = document["paths"][route.template()].as_object().unwrap();
        let verbs: Vec<_> = route.verbs().iter().map(|verb| verb.as_str().to_lowercase()).collect();
        let described: Vec<_> = item.keys().filter(|verb| !verbs.contains(verb)).collect();
        assert!(described.is_empty(), "{route:?} is not asked by {described:?}");
        for verb in &verbs {
            let operation = &item[verb];
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_failure = status.as_str() >= "400";
                let place = response["$ref"].as_str().map(|place| place.trim_start_matches('#'));
                let response = place.map_or(response, |place| document.pointer(place).expect("it is there"));
                let is_problem = response["content"]["application/problem+json"].is_object();
                assert_eq!(is_failure, is_problem, "{route:?} {verb} {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(place)) = fields.get("$ref") {
                    let pointer = place.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{place}");
                }
                fields.values().for_each(|field| check(field, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn a_lifetime_looks_the_same_in_a_line_and_behind_a_path() {
    let document = document();
    let ttl = &document["components"]["schemas"]["BatchLine"]["properties"]["ttl"];
    assert_eq!(ttl["pattern"], LIFETIME_PATTERN);
}
