//! What REST reads from outside: a path, its parameters, a condition, a line of a batch. What is understood is the same
//! when it is written and read again.

use chord_wire::rest::{
    BatchLine, EntityTags, Parameter, Query, Route, Wanted, entity_tag, is_rest, percent_decode,
    percent_encode, read_lifetime,
};

const VALUE_BYTES_MAX: usize = 64;

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(decoded) = percent_decode(bytes) {
        assert!(decoded.len() <= bytes.len());
        assert_eq!(percent_decode(percent_encode(&decoded).as_bytes()), Ok(decoded));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_path(text);
        let _ = Query::read(text, &Parameter::ALL);
        let _ = read_lifetime(text);
    }
    check_condition(bytes);
    if let Ok(line) = BatchLine::read(bytes) {
        let written = serde_json::to_vec(&line).expect("a line is JSON");
        assert_eq!(BatchLine::read(&written).as_ref(), Ok(&line));
        assert_eq!(Wanted::read(bytes, VALUE_BYTES_MAX), line.wish(VALUE_BYTES_MAX));
    }
}

fn check_path(path: &str) {
    let Ok(Some(place)) = Route::of(path) else { return };
    assert!(is_rest(path));
    let written = place.route.template().replace("{key}", &percent_encode(&place.key));
    assert_eq!(Route::of(&written), Ok(Some(place)));
}

fn check_condition(header: &[u8]) {
    let (Ok(strong), Ok(weak)) = (EntityTags::read_strong(header), EntityTags::read_weak(header)) else {
        assert!(EntityTags::read_strong(header).is_err() && EntityTags::read_weak(header).is_err());
        return;
    };
    let (EntityTags::Of(strong), EntityTags::Of(weak)) = (&strong, &weak) else {
        assert_eq!(strong, weak);
        return;
    };
    assert!(strong.iter().all(|version| weak.contains(version)));
    for version in weak {
        if let Some(tag) = entity_tag(version) {
            assert_eq!(EntityTags::read_strong(tag.as_bytes()), Ok(EntityTags::Of(vec![*version])));
        }
    }
}
