//! How large keys, values, bodies and all records together may be.

use chord_node::Limits;
use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn a_value_at_the_limit_is_stored_and_one_byte_more_is_refused() {
    let node = node(Limits { value_bytes: 1000, ..Limits::default() }).await;
    assert_eq!(outcome(&put(&node, "key", &"v".repeat(1000)).await).0, 200);
    let answer = put(&node, "key", &"v".repeat(1001)).await;
    let (status, sentence) = outcome(&answer);
    assert_eq!(status, 413);
    assert!(sentence.contains("1000"), "{sentence}");
}

#[tokio::test]
async fn a_key_at_the_limit_is_stored_and_one_byte_more_is_refused() {
    let node = node(Limits::default()).await;
    assert_eq!(outcome(&put(&node, &"k".repeat(4096), "v").await).0, 200);
    let answer = put(&node, &"k".repeat(4097), "v").await;
    let (status, sentence) = outcome(&answer);
    assert_eq!(status, 413);
    assert!(sentence.contains("4096"), "{sentence}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let limits = Limits { value_bytes: 1000, ..Limits::default() };
    let too_large = limits.body_bytes() + 1;
    let node = node(limits).await;
    let (status, sentence) = {
        let answer = exchange(&node, &post("put", &" ".repeat(too_large))).await;
        (outcome(&answer).0, outcome(&answer).1.to_owned())
    };
    assert_eq!(status, 413, "{sentence}");
    let mut chunked = b"POST /put HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..=too_large / 4096 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = exchange(&node, &chunked).await;
    assert_eq!(outcome(&answer).0, 413, "{answer}");
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_still_reads() {
    let node = node(Limits { store_bytes: 10_000, ..Limits::default() }).await;
    assert_eq!(outcome(&put(&node, "small", "value").await).0, 200);
    let answer = put(&node, "large", &"v".repeat(20_000)).await;
    assert_eq!(outcome(&answer).0, 507, "{answer}");
    assert_eq!(node.get(b"small").await.unwrap().value.unwrap().as_bytes(), b"value");
}

#[tokio::test]
async fn a_full_store_refuses_in_the_words_of_each_door_and_deletes_and_takes_what_is_no_larger() {
    let node = node(Limits { store_bytes: 2000, ..Limits::default() }).await;
    let large = "v".repeat(1500);
    assert_eq!(outcome(&put(&node, "kept", &large).await).0, 200);
    let set = |key: &str, value: &str| told_in_redis(&["SET", key, value]);
    let sentence = "the store holds as much as its limit of 2000 bytes allows";
    assert_eq!(told(&node, &set("key", &large)).await, format!("-OOM command not allowed: {sentence}\r\n"));
    let answer = put(&node, "key", &large).await;
    assert_eq!((outcome(&answer).0, outcome(&answer).1), (507, sentence), "{answer}");
    let head = "PUT /v1/kv/key HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1500\r\n\r\n";
    let answer = told(&node, format!("{head}{large}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 507 ") && answer.contains(sentence), "{answer}");
    assert!(answer.contains("store-failed"), "{answer}");
    let call = format!(
        "<methodCall><methodName>put</methodName><params><param><value><struct>\
         <member><name>key</name><value><string>key</string></value></member>\
         <member><name>value</name><value><string>{large}</string></value></member>\
         </struct></value></param></params></methodCall>"
    );
    let answer = exchange(&node, &post("RPC2", &call)).await;
    assert!(answer.contains("<int>117</int>") && answer.contains(sentence), "{answer}");
    let error = node.put(b"key", large.as_bytes()).await.unwrap_err();
    assert!(error.to_string().contains(sentence), "{error}");
    assert_eq!(told(&node, &set("kept", &"w".repeat(1500))).await, "+OK\r\n", "it takes no more than before");
    assert_eq!(told(&node, &told_in_redis(&["DEL", "kept"])).await, ":1\r\n");
    assert_eq!(told(&node, &set("key", &large)).await, "+OK\r\n", "in the place of what was deleted");
}

fn told_in_redis(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[tokio::test]
async fn bodies_under_way_share_one_budget_and_give_it_back() {
    let node = node(Limits { bodies_bytes: 100 << 10, ..Limits::default() }).await;
    let body = format!(r#"{{"key": "key", "value": "{}"}}"#, "v".repeat(60 << 10));
    let whole = post("put", &body);
    let (first_half, rest) = whole.split_at(whole.len() / 2);
    let mut slow = connect(&node).await;
    slow.write_all(first_half).await.unwrap();
    let refused = async {
        loop {
            let answer = exchange(&node, &whole).await;
            if outcome(&answer).0 == 503 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(DEADLINE, refused).await.expect("the second body is one too many");
    assert!(outcome(&answer).1.contains("bytes"), "{answer}");
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200, "small bodies need no budget");
    slow.write_all(rest).await.unwrap();
    assert_eq!(outcome(&read_to_end(&mut slow).await).0, 200);
    assert_eq!(outcome(&exchange(&node, &whole).await).0, 200);
}
