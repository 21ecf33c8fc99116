// The round by the AWS SDK for Java v2: its client, and for parts and streams its asynchronous client.
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Executors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

public class Round {
  static final String BUCKET = System.getenv("BUCKET");
  static final URI ENDPOINT = URI.create(System.getenv("AWS_ENDPOINT_URL"));
  static final boolean IS_PATH = System.getenv("STYLE").equals("path");
  static final int MIB = 1 << 20;

  final S3Client s3 = client(System.getenv("AWS_SECRET_ACCESS_KEY"));
  final byte[] small = read("small");
  final byte[] large = read("large");
  final List<String> keys = new String(read("keys"), StandardCharsets.UTF_8).lines().toList();

  interface Step {
    void go() throws Exception;
  }

  static StaticCredentialsProvider credentials(String secret) {
    return StaticCredentialsProvider.create(AwsBasicCredentials.create(System.getenv("AWS_ACCESS_KEY_ID"), secret));
  }

  static S3Client client(String secret) {
    return S3Client.builder().endpointOverride(ENDPOINT).forcePathStyle(IS_PATH).credentialsProvider(credentials(secret)).build();
  }

  static Path path(String name) {
    return Path.of(System.getenv("WORK"), name);
  }

  static byte[] read(String name) {
    try {
      return Files.readAllBytes(path(name));
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  static String sha256(byte[] data) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
  }

  static void same(Object got, Object wanted) {
    if (!Objects.equals(got, wanted)) {
      throw new AssertionError("got %.200s, not %.200s".formatted(got, wanted));
    }
  }

  static byte[] curl(String... words) throws Exception {
    var command = new ArrayList<>(List.of("curl", "-sS", "--fail-with-body"));
    command.addAll(Arrays.asList(words));
    var process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    var out = process.getInputStream().readAllBytes();
    same(List.of(process.waitFor(), process.exitValue() == 0 ? "" : new String(out)), List.of(0, ""));
    return out;
  }

  void put(String key, byte[] data) {
    s3.putObject(it -> it.bucket(BUCKET).key(key), RequestBody.fromBytes(data));
  }

  byte[] content(String key) {
    return s3.getObjectAsBytes(it -> it.bucket(BUCKET).key(key)).asByteArray();
  }

  List<String> listed(String prefix) {
    return s3.listObjectsV2Paginator(it -> it.bucket(BUCKET).prefix(prefix)).contents().stream().map(S3Object::key).toList();
  }

  boolean hasBucket() {
    return s3.listBuckets().buckets().stream().anyMatch(one -> one.name().equals(BUCKET));
  }

  void inParts(String key) {
    var etag = s3.headObject(it -> it.bucket(BUCKET).key(key)).eTag();
    same(etag.matches("\"[0-9a-f]{32}-\\d+\"") ? "" : etag, "");
  }

  S3AsyncClient asynchronous() {
    return S3AsyncClient.builder()
        .endpointOverride(ENDPOINT)
        .forcePathStyle(IS_PATH)
        .credentialsProvider(credentials(System.getenv("AWS_SECRET_ACCESS_KEY")))
        .multipartEnabled(true)
        .multipartConfiguration(it -> it.minimumPartSizeInBytes(5L * MIB).thresholdInBytes(5L * MIB))
        .build();
  }

  void makeBucket() {
    s3.createBucket(it -> it.bucket(BUCKET));
    same(hasBucket(), true);
  }

  void putSmall() throws Exception {
    put("small", small);
    same(sha256(content("small")), sha256(small));
  }

  void putLarge() throws Exception {
    try (var parts = asynchronous()) {
      parts.putObject(it -> it.bucket(BUCKET).key("large"), AsyncRequestBody.fromFile(path("large"))).join();
    }
    inParts("large");
    same(sha256(content("large")), sha256(large));
    s3.putObject(it -> it.bucket(BUCKET).key("at-once"), RequestBody.fromFile(path("large")));
    same(sha256(content("at-once")), sha256(large));
  }

  void putStream() throws Exception {
    var threads = Executors.newSingleThreadExecutor();
    try (var parts = asynchronous(); InputStream stream = Files.newInputStream(path("large"))) {
      var body = AsyncRequestBody.fromInputStream(stream, null, threads); // of a length that it does not know
      parts.putObject(it -> it.bucket(BUCKET).key("stream"), body).join();
    } finally {
      threads.shutdown();
    }
    inParts("stream");
    same(sha256(content("stream")), sha256(large));
  }

  void getRange() throws Exception {
    var got = s3.getObjectAsBytes(it -> it.bucket(BUCKET).key("large").range("bytes=6000000-6000999"));
    same(sha256(got.asByteArray()), sha256(Arrays.copyOfRange(large, 6_000_000, 6_001_000)));
    same(got.response().contentRange(), "bytes 6000000-6000999/" + large.length);
  }

  void metadata() {
    var metadata = Map.of("plain", "one, two", "with-dash", "a=b; c");
    s3.putObject(it -> it.bucket(BUCKET).key("metadata").contentType("text/x-test").metadata(metadata), RequestBody.empty());
    var got = s3.headObject(it -> it.bucket(BUCKET).key("metadata"));
    same(List.of(got.contentType(), got.metadata()), List.of("text/x-test", metadata));
  }

  void putKeys() {
    for (var key : keys) {
      put("keys/" + key, key.getBytes(StandardCharsets.UTF_8));
      same(new String(content("keys/" + key), StandardCharsets.UTF_8), key);
    }
    same(listed("keys/").stream().sorted().toList(), keys.stream().map(key -> "keys/" + key).sorted().toList());
  }

  void pages() {
    var names = new ArrayList<String>();
    for (int number = 0; number < 1100; number++) {
      names.add("many/%04d".formatted(number));
      put(names.get(number), new byte[0]);
    }
    same(listed("many/"), names);
  }

  void copies() throws Exception {
    for (var key : List.of("a+b", "a b  c", "ключ/é/日本/😀")) {
      s3.copyObject(it -> it.sourceBucket(BUCKET).sourceKey("keys/" + key).destinationBucket(BUCKET).destinationKey("copies/" + key));
      same(new String(content("copies/" + key), StandardCharsets.UTF_8), key);
    }
    s3.copyObject(it -> it.sourceBucket(BUCKET).sourceKey("large").destinationBucket(BUCKET).destinationKey("copies/large"));
    same(sha256(content("copies/large")), sha256(large));
  }

  void presigned() throws Exception {
    var key = "presigned/a b+ü";
    var lifetime = Duration.ofMinutes(5);
    var builder = S3Presigner.builder().endpointOverride(ENDPOINT);
    builder.serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(IS_PATH).build());
    try (var signer = builder.build()) {
      curl("-T", path("small").toString(), signer.presignPutObject(
          it -> it.signatureDuration(lifetime).putObjectRequest(put -> put.bucket(BUCKET).key(key))).url().toString());
      var get = signer.presignGetObject(
          it -> it.signatureDuration(lifetime).getObjectRequest(one -> one.bucket(BUCKET).key(key))).url().toString();
      same(sha256(curl(get)), sha256(small));
    }
  }

  void wrongSecret() throws Exception {
    try (var stranger = client("wrong")) {
      stranger.putObject(it -> it.bucket(BUCKET).key("small"), RequestBody.fromString("by a stranger"));
      throw new AssertionError("it was let in");
    } catch (S3Exception refused) {
      same(List.of(refused.awsErrorDetails().errorCode(), refused.statusCode()), List.of("SignatureDoesNotMatch", 403));
    }
    same(sha256(content("small")), sha256(small));
  }

  void deleteAll() {
    for (var names = listed(""); !names.isEmpty(); names = listed("")) {
      var batch = names.stream().limit(1000).map(name -> ObjectIdentifier.builder().key(name).build()).toList();
      var done = s3.deleteObjects(it -> it.bucket(BUCKET).delete(one -> one.objects(batch)));
      same(List.of(done.deleted().size(), done.errors().size()), List.of(batch.size(), 0));
    }
    s3.deleteBucket(it -> it.bucket(BUCKET));
    same(hasBucket(), false);
  }

  // Runs a step and prints how it ended; a step that failed ends the program.
  static void tell(String name, Step step) {
    try {
      step.go();
    } catch (Throwable why) {
      System.out.println("failed %s: %s".formatted(name, String.valueOf(why).replace('\n', ' ')));
      System.exit(1);
    }
    System.out.println("ok " + name);
  }

  public static void main(String[] arguments) {
    System.out.println("version " + VersionInfo.SDK_VERSION);
    var round = new Round();
    tell("make a bucket", round::makeBucket);
    tell("a small object", round::putSmall);
    tell("20 MiB in parts", round::putLarge);
    tell("20 MiB from a stream", round::putStream);
    tell("a range", round::getRange);
    tell("metadata", round::metadata);
    tell("keys", round::putKeys);
    tell("1,100 keys in pages", round::pages);
    tell("a copy", round::copies);
    tell("presigned URLs with curl", round::presigned);
    tell("a wrong secret", round::wrongSecret);
    tell("delete them all", round::deleteAll);
    System.exit(0);
  }
}
