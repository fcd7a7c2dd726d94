// The part of a tour that node-redis goes: `raw PROTOCOL PORT` sends the commands of standard input as they are, and
// `typed PROTOCOL PORT` uses what the library has for them. Each answer is a line of JSON; bytes are Latin-1 in it.

import { readFileSync } from "node:fs";
import { createClient, createClientPool, RESP_TYPES } from "redis";

const [kind, protocol, port] = process.argv.slice(2);
const options = { url: `redis://127.0.0.1:${port}`, RESP: Number(protocol), socket: { reconnectStrategy: false } };
const bytes = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer, [RESP_TYPES.VERBATIM_STRING]: Buffer, [RESP_TYPES.MAP]: Map, [RESP_TYPES.SET]: Array };

function plain(answer) {
  if (Buffer.isBuffer(answer)) return answer.toString("latin1");
  if (answer instanceof Error) return { error: answer.message };
  if (answer instanceof Map) return Object.fromEntries([...answer].map(([key, value]) => [plain(key), plain(value)]));
  if (answer instanceof Set) return [...answer].map(plain).sort();
  if (Array.isArray(answer)) return answer.map(plain);
  if (answer && typeof answer === "object") return Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, plain(value)]));
  return answer === undefined ? null : answer;
}

const tell = (line) => console.log(JSON.stringify(line));

async function check(name, run, differs = null) {
  const answer = await run().catch((error) => ({ error: (error.errors ?? [error])[0].message }));
  tell({ check: name, answer: plain(answer), differs });
}

async function raw() {
  const client = createClient({ ...options, commandOptions: { typeMapping: bytes } });
  client.on("error", () => {});
  await client.connect();
  for (const command of JSON.parse(readFileSync(0, "utf8"))) {
    const words = command.map((word) => Buffer.from(word, "latin1"));
    const answer = await client.sendCommand(words).catch((error) => error);
    tell({ answer: plain(answer) });
  }
  client.destroy();
}

async function typed() {
  const client = createClient({ ...options, name: "tour" });
  client.on("error", () => {});
  await client.connect();
  await strings(client);
  await expiry(client);
  await allKeys(client);
  await connection(client);
  await pipelines(client);
  const pool = await createClientPool(options, { minimum: 1, maximum: 4 }).connect();
  await check("a pool of 4 for 100 at once", async () => {
    await Promise.all(Array.from({ length: 100 }, () => pool.incr("pool")));
    return pool.getDel("pool");
  });
  pool.destroy();
  await check("close", async () => client.close());
}

async function strings(client) {
  await check("set", () => client.set("js", "grüße"));
  await check("get", () => client.get("js"));
  await check("get a buffer", async () => client.withTypeMapping(bytes).get("js"));
  await check("set nx", () => client.set("js", "x", { condition: "NX" }));
  await check("set xx get", () => client.set("js", "v", { condition: "XX", GET: true }));
  await check("set ex", async () => [await client.set("js", "v", { expiration: { type: "EX", value: 100 } }), (await client.ttl("js")) > 90]);
  await check("set keepttl", async () => [await client.set("js", "v", { expiration: "KEEPTTL" }), (await client.ttl("js")) > 90]);
  await check("setNX, getSet, getDel", async () => [await client.setNX("js", "1"), await client.getSet("js", "2"), await client.getDel("js"), await client.get("js")]);
  await check("mSet, mGet", async () => [await client.mSet({ m1: "1", m2: "two" }), await client.mGet(["m1", "none", "m2"])]);
  await check("append, strLen, getRange, setRange", async () => [
    await client.append("log", "hello"), await client.strLen("log"), await client.getRange("log", 0, 1), await client.setRange("log", 1, "u")]);
  await check("incr, incrBy, decrBy, decr", async () => [await client.incr("n"), await client.incrBy("n", 41), await client.decrBy("n", 2), await client.decr("n")]);
  await check("incrByFloat", () => client.incrByFloat("n", 0.5));
  await check("incr of a word", () => client.incr("log"));
  await check("exists, touch, type", async () => [await client.exists(["m1", "m2", "none"]), await client.touch("m1"), await client.type("m1")]);
  await check("del, unlink", async () => [await client.del(["m1", "none"]), await client.unlink("m2"), await client.del(["log", "n"])]);
}

async function expiry(client) {
  await client.set("e", "v");
  await check("ttl of a key that stays, and of none", async () => [await client.ttl("e"), await client.pTTL("e"), await client.ttl("none")]);
  await check("expire with conditions", async () => [
    await client.expire("e", 100), await client.expire("e", 50, "NX"), await client.expire("e", 50, "LT"), await client.expire("e", 9, "GT")]);
  await check("expireAt, expireTime", async () => [await client.expireAt("e", 4102444800), await client.expireTime("e"), await client.pExpireTime("e")]);
  await check("pExpire, persist", async () => [await client.pExpire("e", 100000), await client.persist("e"), await client.persist("e")]);
  await check("getEx", async () => [await client.getEx("e", { type: "EX", value: 100 }), await client.getEx("e", { type: "PERSIST" }), await client.ttl("e")]);
  await check("setEx, pSetEx", async () => [await client.setEx("e", 100, "v"), await client.pSetEx("e", 100000, "w"), await client.del("e")]);
}

async function allKeys(client) {
  const names = Array.from({ length: 500 }, (_, number) => `scan:${number}`);
  await client.mSet(names.map((name) => [name, "v"]));
  await check("scanIterator", async () => {
    const found = new Set();
    for await (const keys of client.scanIterator({ MATCH: "scan:*", COUNT: 50 })) keys.forEach((key) => found.add(key));
    return found.size;
  });
  await check("keys", async () => (await client.keys("scan:4?")).sort());
  await check("dbSize", async () => (await client.dbSize()) >= 500);
  await check("randomKey", async () => client.exists(await client.randomKey()));
  await check("del of 500", () => client.del(names));
}

async function connection(client) {
  await check("ping, echo", async () => [await client.ping(), await client.echo("x")]);
  await check("clientGetName", () => client.clientGetName());
  await check("clientId", async () => (await client.clientId()) > 0);
  await check("clientInfo", async () => { const { name, db, user, flags } = await client.clientInfo(); return { name, db, user, flags }; });
  await check("clientList", async () => (await client.clientList()).some((other) => other.name === "tour"));
  await check("info", async () => ["redis_mode:standalone", "role:master"].map((text) => client.info().then((info) => info.includes(text))).length);
  await check("configGet", async () => ({ ...(await client.configGet("maxmemory-policy")) }));
  await check("time", async () => (await client.time()) !== null);
  await check("commandCount", async () => (await client.commandCount()) > 0);
  await check("commandInfo", async () => { const [{ name, arity, firstKeyIndex, lastKeyIndex, step }] = await client.commandInfo(["mset"]); return { name, arity, firstKeyIndex, lastKeyIndex, step }; });
  await check("select", () => client.select(0));
  await check("a list", () => client.lPush("list", "1"), "strings-only");
  await check("flushDb", () => client.flushDb(), "no-flush");
  await client.del("list");
}

async function pipelines(client) {
  await check("100 at once", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, number) => client.set(`p${number}`, number.toString())));
    return all.every((answer) => answer === "OK") && client.del(Array.from({ length: 100 }, (_, number) => `p${number}`));
  });
  await check("multi().execAsPipeline()", () => client.multi().set("p", "1").incr("p").get("p").del("p").execAsPipeline());
  await client.set("p", "untouched");
  await check("multi().exec()", () => client.multi().set("p", "1").del("p").exec(), "no-transactions");
  await check("after it", async () => [await client.get("p"), await client.ping(), await client.del("p")], "no-transactions");
}

await (kind === "raw" ? raw() : typed());
// Timers of a pool that has ended would keep it for some seconds; and what a pipe has no room for yet is lost by exit().
process.stdout.write("", () => process.exit());
