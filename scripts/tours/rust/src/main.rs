//! The part of a tour that the redis crate goes: `raw PROTOCOL PORT` sends the commands of standard input as they are, and
//! `typed PROTOCOL PORT` uses what the library has for them. Each answer is a line of JSON; bytes are Latin-1 in it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use redis::{
    Client, Commands, Connection, ConnectionLike, ErrorKind, ExistenceCheck, RedisError, RedisResult,
    SetExpiry, SetOptions,
};
use redis::{FromRedisValue, Value, cmd, pipe};
use serde_json::{Value as Json, json};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, protocol, port] = &args[..] else { return Err("usage: raw|typed PROTOCOL PORT".into()) };
    let client = Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp{protocol}"))?;
    let mut connection = client.get_connection()?;
    match &kind[..] {
        "raw" => raw(&mut connection),
        _ => typed(&mut connection),
    }
}

fn raw(connection: &mut Connection) -> Result<(), Box<dyn Error>> {
    let commands: Vec<Vec<String>> = serde_json::from_reader(std::io::stdin())?;
    for words in commands {
        let words = words.iter().map(|word| word.chars().map(|letter| letter as u8).collect::<Vec<u8>>());
        let mut command = redis::Cmd::new();
        words.for_each(|word| _ = command.arg(word));
        println!("{}", json!({ "answer": answer(command.query::<Value>(connection)) }));
    }
    Ok(())
}

fn answer(result: RedisResult<Value>) -> Json {
    result.map_or_else(|error| refused(&error), |value| plain(&value))
}

fn refused(error: &RedisError) -> Json {
    let words = [error.code().unwrap_or_default(), error.detail().unwrap_or_default()];
    json!({ "error": words.join(" ") })
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::BulkString(bytes) => json!(latin1(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => json!(text),
        Value::Okay => json!("OK"),
        Value::Array(parts) | Value::Set(parts) => parts.iter().map(plain).collect(),
        Value::Map(pairs) => {
            let name = |key| plain(key).as_str().unwrap_or_default().to_owned();
            Json::Object(pairs.iter().map(|(key, value)| (name(key), plain(value))).collect())
        }
        other => json!(format!("{other:?}")),
    }
}

fn tell(name: &str, differs: Option<&str>, result: RedisResult<Json>) {
    let answer = result.unwrap_or_else(|error| refused(&error));
    println!("{}", json!({ "check": name, "answer": answer, "differs": differs }));
}

fn check(name: &str, result: RedisResult<Json>) {
    tell(name, None, result);
}

fn typed(connection: &mut Connection) -> Result<(), Box<dyn Error>> {
    check("strings", strings(connection));
    check("options of set", options(connection));
    check("counters", counters(connection));
    check("expiry", expiry(connection));
    check("scan and keys", all_keys(connection));
    check("pipe", together(&mut pipe(), connection));
    let () = connection.set("p", "untouched")?;
    tell("atomic pipe", Some("no-transactions"), together(pipe().atomic(), connection));
    tell(
        "after it",
        Some("no-transactions"),
        connection.get_del("p").map(|value: Option<String>| json!(value)),
    );
    let list: RedisResult<i64> = connection.lpush("list", 1);
    tell("a list", Some("strings-only"), list.map(|length| json!(length)));
    let _: RedisResult<i64> = connection.del("list");
    check("an error has a kind", kind_of_error(connection));
    check("check_connection", Ok(json!(connection.check_connection())));
    check("database", Ok(json!(connection.get_db())));
    Ok(())
}

fn strings(connection: &mut Connection) -> RedisResult<Json> {
    let () = connection.set("rs", "grüße")?;
    let text: String = connection.get("rs")?;
    let bytes: Vec<u8> = connection.get("rs")?;
    let none: Option<String> = connection.get("none")?;
    let () = connection.mset(&[("m1", 1), ("m2", 2)])?;
    let many: Vec<Option<i64>> = connection.mget(&["m1", "none", "m2"])?;
    let length: usize = connection.append("rs", "!")?;
    let part: String = connection.getrange("rs", 0, 1)?;
    let changed: usize = connection.setrange("rs", 0, "G")?;
    let old: String = connection.getset("rs", "new")?;
    let last: String = connection.get_del("rs")?;
    let counts: [bool; 2] = [connection.exists("m1")?, connection.exists("rs")?];
    let gone: i64 = connection.del(&["m1", "m2", "none"])?;
    Ok(json!([text, bytes, none, many, length, part, changed, old, last, counts, gone]))
}

fn options(connection: &mut Connection) -> RedisResult<Json> {
    let only_new =
        SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::EX(100));
    let first: Option<String> = connection.set_options("o", "v", only_new.clone())?;
    let second: Option<String> = connection.set_options("o", "w", only_new)?;
    let old: Option<String> = connection.set_options("o", "x", SetOptions::default().get(true))?;
    let is_new: bool = connection.set_nx("o", 1)?;
    let () = connection.del("o")?;
    Ok(json!([first, second, old, is_new]))
}

fn counters(connection: &mut Connection) -> RedisResult<Json> {
    let numbers: [i64; 2] = [connection.incr("n", 41)?, connection.decr("n", 1)?];
    let float: f64 = connection.incr("n", 0.5)?;
    let word: RedisResult<i64> = connection.incr("n", 1);
    let () = connection.del("n")?;
    Ok(json!([numbers, float, word.err().map(|error| refused(&error))]))
}

fn expiry(connection: &mut Connection) -> RedisResult<Json> {
    let () = connection.set_ex("e", "v", 100)?;
    let ttl: i64 = connection.ttl("e")?;
    let set: bool = connection.expire_at("e", 4_102_444_800)?;
    let at: i64 = connection.expire_time("e")?;
    let stays: bool = connection.persist("e")?;
    let milliseconds: i64 = connection.pttl("e")?;
    let () = connection.del("e")?;
    Ok(json!([ttl > 90, set, at, stays, milliseconds]))
}

fn all_keys(connection: &mut Connection) -> RedisResult<Json> {
    let names: BTreeSet<String> = (0..500).map(|number| format!("scan:{number}")).collect();
    let pairs: Vec<(&String, u8)> = names.iter().map(|name| (name, 1)).collect();
    let () = connection.mset(&pairs)?;
    let scanned: BTreeSet<String> = connection.scan_match("scan:*")?.collect::<RedisResult<_>>()?;
    let keys: BTreeSet<String> = connection.keys("scan:4?")?;
    let size: usize = cmd("DBSIZE").query(connection)?;
    let gone: usize = connection.del(&names)?;
    Ok(json!([scanned == names, keys, size >= 500, gone]))
}

fn together(pipe: &mut redis::Pipeline, connection: &mut Connection) -> RedisResult<Json> {
    let value: Value = pipe.set("p", 1).ignore().incr("p", 41).get("p").del("p").query(connection)?;
    Ok(plain(&value))
}

fn kind_of_error(connection: &mut Connection) -> RedisResult<Json> {
    let () = connection.set("word", "word")?;
    let error = connection.incr::<_, _, i64>("word", 1).err();
    let info: redis::InfoDict = cmd("INFO").query(connection)?;
    let role: Option<String> = info.get("role");
    let config = BTreeMap::<String, String>::from_redis_value(
        cmd("CONFIG").arg("GET").arg("databases*").query(connection)?,
    )?;
    let () = connection.del("word")?;
    Ok(json!([
        error.map(|error| error.kind() == ErrorKind::from(redis::ServerErrorKind::ResponseError)),
        role,
        config.len()
    ]))
}
