// The round by MinIO's JavaScript client.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import dns from "node:dns";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import * as Minio from "minio";

// Not every system resolves what stands below localhost.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const { AWS_ACCESS_KEY_ID: accessKey, AWS_ENDPOINT_URL, AWS_SECRET_ACCESS_KEY, BUCKET, STYLE, WORK } = process.env;
const endpoint = new URL(AWS_ENDPOINT_URL);
const MIB = 2 ** 20;
const client = (secretKey) =>
  new Minio.Client({
    endPoint: endpoint.hostname,
    port: Number(endpoint.port),
    useSSL: endpoint.protocol === "https:",
    pathStyle: STYLE === "path",
    partSize: 5 * MIB,
    accessKey,
    secretKey,
  });
const s3 = client(AWS_SECRET_ACCESS_KEY);
const path = (name) => join(WORK, name);
const small = readFileSync(path("small"));
const large = readFileSync(path("large"));
const keys = readFileSync(path("keys"), "utf8").split("\n").filter(Boolean);

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const curl = (...words) => execFileSync("curl", ["-sS", "--fail-with-body", ...words]);
async function gathered(stream) {
  const got = [];
  for await (const one of stream) {
    got.push(one);
  }
  return got;
}
const all = async (stream) => Buffer.concat(await gathered(stream));
const content = async (key) => all(await s3.getObject(BUCKET, key));
const listed = async (prefix) => (await gathered(s3.listObjectsV2(BUCKET, prefix, true))).map((one) => one.name);

function same(got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) {
    throw new Error(`got ${String(got).slice(0, 200)}, not ${String(wanted).slice(0, 200)}`);
  }
}

async function inParts(key) {
  const { etag } = await s3.statObject(BUCKET, key);
  same([etag, /^[0-9a-f]{32}-\d+$/.test(etag)], [etag, true]);
}

// A stream that knows neither its size nor its start.
async function* pieces() {
  for await (const piece of createReadStream(path("large"), { highWaterMark: 100_000 })) {
    yield piece;
  }
}

const steps = {
  "make a bucket": async () => {
    await s3.makeBucket(BUCKET, "us-east-1");
    same(await s3.bucketExists(BUCKET), true);
    same((await s3.listBuckets()).some((one) => one.name === BUCKET), true);
  },
  "a small object": async () => {
    await s3.putObject(BUCKET, "small", small);
    same(await content("small"), small);
  },
  "20 MiB in parts": async () => {
    await s3.fPutObject(BUCKET, "large", path("large"));
    await inParts("large");
    await s3.fGetObject(BUCKET, "large", path("large-back"));
    same(sha256(readFileSync(path("large-back"))), sha256(large));
  },
  "20 MiB from a stream": async () => {
    await s3.putObject(BUCKET, "stream", Readable.from(pieces()));
    await inParts("stream");
    same(sha256(await content("stream")), sha256(large));
  },
  "a range": async () => {
    const got = await all(await s3.getPartialObject(BUCKET, "large", 6_000_000, 1000));
    same(got, large.subarray(6_000_000, 6_001_000));
  },
  metadata: async () => {
    const metadata = { plain: "one, two", "with-dash": "a=b; c" };
    await s3.putObject(BUCKET, "metadata", "x", 1, { ...metadata, "Content-Type": "text/x-test" });
    const { "content-type": type, ...got } = (await s3.statObject(BUCKET, "metadata")).metaData;
    same([type, got], ["text/x-test", metadata]);
  },
  keys: async () => {
    for (const key of keys) {
      await s3.putObject(BUCKET, `keys/${key}`, key);
      same((await content(`keys/${key}`)).toString(), key);
    }
    same((await listed("keys/")).sort(), keys.map((key) => `keys/${key}`).sort());
  },
  "1,100 keys in pages": async () => {
    const names = Array.from({ length: 1100 }, (_, number) => `many/${String(number).padStart(4, "0")}`);
    for (const name of names) {
      await s3.putObject(BUCKET, name, "");
    }
    same(await listed("many/"), names);
  },
  "a copy": async () => {
    for (const key of ["a+b", "a b  c", "ключ/é/日本/😀"]) {
      await s3.copyObject(BUCKET, `copies/${key}`, `/${BUCKET}/keys/${key}`);
      same((await content(`copies/${key}`)).toString(), key);
    }
    await s3.copyObject(BUCKET, "copies/large", `/${BUCKET}/large`);
    same(sha256(await content("copies/large")), sha256(large));
  },
  "presigned URLs with curl": async () => {
    const key = "presigned/a b+ü";
    curl("-T", path("small"), await s3.presignedPutObject(BUCKET, key));
    same(curl(await s3.presignedGetObject(BUCKET, key)), small);
    const policy = s3.newPostPolicy();
    policy.setBucket(BUCKET);
    policy.setKey("posted");
    policy.setExpires(new Date(Date.now() + 300_000));
    const { postURL, formData } = await s3.presignedPostPolicy(policy);
    const fields = Object.entries(formData).flatMap(([name, value]) => ["-F", `${name}=${value}`]);
    curl(...fields, "-F", `file=@${path("small")}`, postURL);
    same(await content("posted"), small);
  },
  "a wrong secret": async () => {
    const refused = await client("wrong")
      .putObject(BUCKET, "small", "by a stranger")
      .then(
        () => undefined,
        (error) => error,
      );
    same(refused?.code, "SignatureDoesNotMatch");
    same(await content("small"), small);
  },
  "delete them all": async () => {
    same(await s3.removeObjects(BUCKET, await listed("")), []);
    same(await listed(""), []);
    await s3.removeBucket(BUCKET);
    same(await s3.bucketExists(BUCKET), false);
  },
};

const { version } = JSON.parse(readFileSync(new URL("node_modules/minio/package.json", import.meta.url)));
console.log(`version ${version}`);
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
  } catch (error) {
    console.log(`failed ${name}: ${error.name}: ${error.code ?? ""} ${error.message}`);
    process.exit(1);
  }
  console.log(`ok ${name}`);
}
