// The round by the AWS SDK for JavaScript v3.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import dns from "node:dns";
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

// Not every system resolves what stands below localhost.
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const { AWS_ACCESS_KEY_ID: accessKeyId, BUCKET: Bucket, STYLE, WORK } = process.env;
const options = { forcePathStyle: STYLE === "path" };
const s3 = new S3Client(options);
const path = (name) => join(WORK, name);
const small = readFileSync(path("small"));
const large = readFileSync(path("large"));
const keys = readFileSync(path("keys"), "utf8").split("\n").filter(Boolean);

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const curl = (...words) => execFileSync("curl", ["-sS", "--fail-with-body", ...words]);
const put = (Key, Body, more = {}) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

function same(got, wanted) {
  const [one, other] = [got, wanted].map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
  if (!isDeepStrictEqual(one, other)) {
    throw new Error(`got ${String(got).slice(0, 200)}, not ${String(wanted).slice(0, 200)}`);
  }
}

async function content(Key) {
  const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return got.Body.transformToByteArray();
}

async function listed(Prefix) {
  const names = [];
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix })) {
    names.push(...(page.Contents ?? []).map((one) => one.Key));
  }
  return names;
}

const hasBucket = async () => (await s3.send(new ListBucketsCommand({}))).Buckets.some((one) => one.Name === Bucket);

// A stream that knows neither its size nor its start.
async function* pieces() {
  for await (const piece of createReadStream(path("large"), { highWaterMark: 100_000 })) {
    yield piece;
  }
}

const steps = {
  "make a bucket": async () => {
    await s3.send(new CreateBucketCommand({ Bucket }));
    same(await hasBucket(), true);
  },
  "a small object": async () => {
    await put("small", small);
    same(await content("small"), small);
  },
  "20 MiB in parts": async () => {
    await new Upload({ client: s3, params: { Bucket, Key: "large", Body: large } }).done();
    const { ETag } = await s3.send(new HeadObjectCommand({ Bucket, Key: "large" }));
    same([ETag, /^"[0-9a-f]{32}-\d+"$/.test(ETag)], [ETag, true]);
    same(sha256(await content("large")), sha256(large));
    await put("at-once", createReadStream(path("large")));
    same(sha256(await content("at-once")), sha256(large));
  },
  "20 MiB from a stream": async () => {
    await new Upload({ client: s3, params: { Bucket, Key: "stream", Body: Readable.from(pieces()) } }).done();
    same(sha256(await content("stream")), sha256(large));
    await put("stream-at-once", Readable.from(pieces()), { ContentLength: large.length });
    same(sha256(await content("stream-at-once")), sha256(large));
  },
  "a range": async () => {
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: "large", Range: "bytes=6000000-6000999" }));
    same(await got.Body.transformToByteArray(), large.subarray(6_000_000, 6_001_000));
    same(got.ContentRange, `bytes 6000000-6000999/${large.length}`);
  },
  metadata: async () => {
    const Metadata = { plain: "one, two", "with-dash": "a=b; c" };
    await put("metadata", "", { Metadata, ContentType: "text/x-test" });
    const got = await s3.send(new HeadObjectCommand({ Bucket, Key: "metadata" }));
    same([got.Metadata, got.ContentType], [Metadata, "text/x-test"]);
  },
  keys: async () => {
    for (const key of keys) {
      await put(`keys/${key}`, key);
      same(Buffer.from(await content(`keys/${key}`)).toString(), key);
    }
    same((await listed("keys/")).sort(), keys.map((key) => `keys/${key}`).sort());
  },
  "1,100 keys in pages": async () => {
    const names = Array.from({ length: 1100 }, (_, number) => `many/${String(number).padStart(4, "0")}`);
    for (const name of names) {
      await put(name, "");
    }
    same(await listed("many/"), names);
  },
  "a copy": async () => {
    for (const key of ["a+b", "a b  c", "ключ/é/日本/😀"]) {
      const CopySource = encodeURIComponent(`${Bucket}/keys/${key}`);
      await s3.send(new CopyObjectCommand({ Bucket, Key: `copies/${key}`, CopySource }));
      same(Buffer.from(await content(`copies/${key}`)).toString(), key);
    }
    await s3.send(new CopyObjectCommand({ Bucket, Key: "copies/large", CopySource: `${Bucket}/large` }));
    same(sha256(await content("copies/large")), sha256(large));
  },
  "presigned URLs with curl": async () => {
    const there = { Bucket, Key: "presigned/a b+ü" };
    curl("-T", path("small"), await getSignedUrl(s3, new PutObjectCommand({ ...there, Metadata: { by: "a link" } })));
    same(curl(await getSignedUrl(s3, new GetObjectCommand(there))), small);
    same((await s3.send(new HeadObjectCommand(there))).Metadata, { by: "a link" });
  },
  "a wrong secret": async () => {
    const stranger = new S3Client({ ...options, credentials: { accessKeyId, secretAccessKey: "wrong" } });
    const refused = await stranger.send(new PutObjectCommand({ Bucket, Key: "small", Body: "by a stranger" })).then(
      () => undefined,
      (error) => error,
    );
    same([refused?.name, refused?.$metadata.httpStatusCode], ["SignatureDoesNotMatch", 403]);
    same(await content("small"), small);
  },
  "delete them all": async () => {
    for (let names = await listed(""); names.length; names = await listed("")) {
      const Objects = names.slice(0, 1000).map((Key) => ({ Key }));
      const done = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      same([done.Deleted.length, done.Errors], [Objects.length, undefined]);
    }
    await s3.send(new DeleteBucketCommand({ Bucket }));
    same(await hasBucket(), false);
  },
};

const { version } = createRequire(import.meta.url)("@aws-sdk/client-s3/package.json");
console.log(`version ${version}`);
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
  } catch (error) {
    console.log(`failed ${name}: ${error.name}: ${error.message}`);
    process.exit(1);
  }
  console.log(`ok ${name}`);
}
