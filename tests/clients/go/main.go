// The round by the AWS SDK for Go v2.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var (
	background = context.Background()
	bucket     = aws.String(os.Getenv("BUCKET"))
)

// loopback is the SDK's own HTTP client, for which what stands below localhost is this machine: not every system
// resolves it.
func loopback() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(transport *http.Transport) {
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
				address = net.JoinHostPort("127.0.0.1", port)
			}
			return dial(ctx, network, address)
		}
	})
}

func client(options ...func(*config.LoadOptions) error) *s3.Client {
	loaded, err := config.LoadDefaultConfig(background, append(options, config.WithHTTPClient(loopback()))...)
	must(err)
	return s3.NewFromConfig(loaded, func(o *s3.Options) { o.UsePathStyle = os.Getenv("STYLE") == "path" })
}

// must ends a step that met an error.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// same ends a step that got something else than it wanted.
func same[T any](got, wanted T) {
	one, other := fmt.Sprintf("%v", got), fmt.Sprintf("%v", wanted)
	if one != other {
		panic(fmt.Errorf("got %.200s, not %.200s", one, other))
	}
}

func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func path(name string) string { return filepath.Join(os.Getenv("WORK"), name) }

func read(name string) []byte {
	data, err := os.ReadFile(path(name))
	must(err)
	return data
}

// unseekable can be read once, from its start.
type unseekable struct{ io.Reader }

func curl(words ...string) []byte {
	out, err := exec.Command("curl", append([]string{"-sS", "--fail-with-body"}, words...)...).Output()
	if err != nil {
		panic(fmt.Errorf("curl: %w: %s", err, out))
	}
	return out
}

type round struct {
	s3           *s3.Client
	small, large []byte
	keys         []string
}

func (r round) put(key string, body io.Reader) {
	_, err := r.s3.PutObject(background, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: body})
	must(err)
}

func (r round) content(key string) []byte {
	got, err := r.s3.GetObject(background, &s3.GetObjectInput{Bucket: bucket, Key: &key})
	must(err)
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	must(err)
	return data
}

func (r round) listed(prefix string) (names []string) {
	pages := s3.NewListObjectsV2Paginator(r.s3, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(background)
		must(err)
		for _, one := range page.Contents {
			names = append(names, *one.Key)
		}
	}
	return names
}

func (r round) hasBucket() bool {
	got, err := r.s3.ListBuckets(background, &s3.ListBucketsInput{})
	must(err)
	return slices.ContainsFunc(got.Buckets, func(one types.Bucket) bool { return *one.Name == *bucket })
}

func (r round) makeBucket() {
	_, err := r.s3.CreateBucket(background, &s3.CreateBucketInput{Bucket: bucket})
	must(err)
	same(r.hasBucket(), true)
}

func (r round) putSmall() {
	r.put("small", bytes.NewReader(r.small))
	same(digest(r.content("small")), digest(r.small))
}

func (r round) upload(key string, body io.Reader) {
	_, err := manager.NewUploader(r.s3).Upload(background, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: body})
	must(err)
}

func (r round) putLarge() {
	file, err := os.Open(path("large"))
	must(err)
	defer file.Close()
	r.upload("large", file)
	head, err := r.s3.HeadObject(background, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("large")})
	must(err)
	same(regexp.MustCompile(`^"[0-9a-f]{32}-[0-9]+"$`).MatchString(*head.ETag), true)
	got := manager.NewWriteAtBuffer(nil)
	_, err = manager.NewDownloader(r.s3).Download(background, got, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("large")})
	must(err)
	same(digest(got.Bytes()), digest(r.large))
	r.put("at-once", bytes.NewReader(r.large))
	same(digest(r.content("at-once")), digest(r.large))
}

func (r round) putStream() {
	r.upload("stream", unseekable{bytes.NewReader(r.large)})
	same(digest(r.content("stream")), digest(r.large))
	// In one request the SDK sends what it cannot read twice over TLS alone.
	if strings.HasPrefix(os.Getenv("AWS_ENDPOINT_URL"), "https:") {
		_, err := r.s3.PutObject(background, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String("stream-at-once"), Body: unseekable{bytes.NewReader(r.large)},
			ContentLength: aws.Int64(int64(len(r.large))),
		})
		must(err)
		same(digest(r.content("stream-at-once")), digest(r.large))
	}
}

func (r round) getRange() {
	got, err := r.s3.GetObject(background, &s3.GetObjectInput{
		Bucket: bucket, Key: aws.String("large"), Range: aws.String("bytes=6000000-6000999"),
	})
	must(err)
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	must(err)
	same(digest(data), digest(r.large[6_000_000:6_001_000]))
	same(*got.ContentRange, fmt.Sprintf("bytes 6000000-6000999/%d", len(r.large)))
}

func (r round) metadata() {
	sent := map[string]string{"plain": "one, two", "with-dash": "a=b; c"}
	_, err := r.s3.PutObject(background, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("metadata"), Metadata: sent, ContentType: aws.String("text/x-test"),
	})
	must(err)
	got, err := r.s3.HeadObject(background, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("metadata")})
	must(err)
	same(got.Metadata, sent)
	same(*got.ContentType, "text/x-test")
}

func (r round) putKeys() {
	wanted := []string{}
	for _, key := range r.keys {
		r.put("keys/"+key, strings.NewReader(key))
		same(string(r.content("keys/"+key)), key)
		wanted = append(wanted, "keys/"+key)
	}
	slices.Sort(wanted)
	same(r.listed("keys/"), wanted)
}

func (r round) pages() {
	wanted := []string{}
	for number := range 1100 {
		wanted = append(wanted, fmt.Sprintf("many/%04d", number))
		r.put(wanted[number], nil)
	}
	same(r.listed("many/"), wanted)
}

func (r round) copyOne(from, to string) {
	source := url.PathEscape(*bucket + "/" + from)
	_, err := r.s3.CopyObject(background, &s3.CopyObjectInput{Bucket: bucket, Key: &to, CopySource: &source})
	must(err)
	same(digest(r.content(to)), digest(r.content(from)))
}

func (r round) copies() {
	for _, key := range []string{"a+b", "a b  c", "ключ/é/日本/😀"} {
		r.copyOne("keys/"+key, "copies/"+key)
	}
	r.copyOne("large", "copies/large")
}

func (r round) presigned() {
	signer, key := s3.NewPresignClient(r.s3), aws.String("presigned/a b+ü")
	put, err := signer.PresignPutObject(background, &s3.PutObjectInput{Bucket: bucket, Key: key})
	must(err)
	curl("-T", path("small"), put.URL)
	get, err := signer.PresignGetObject(background, &s3.GetObjectInput{Bucket: bucket, Key: key})
	must(err)
	same(digest(curl(get.URL)), digest(r.small))
}

func (r round) wrongSecret() {
	wrong := credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), "wrong", "")
	_, err := client(config.WithCredentialsProvider(wrong)).PutObject(background, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("small"), Body: strings.NewReader("by a stranger"),
	})
	var refused smithy.APIError
	var answer *awshttp.ResponseError
	if !errors.As(err, &refused) || !errors.As(err, &answer) {
		panic(fmt.Errorf("it was not refused, but: %w", err))
	}
	same(refused.ErrorCode(), "SignatureDoesNotMatch")
	same(answer.HTTPStatusCode(), http.StatusForbidden)
	same(digest(r.content("small")), digest(r.small))
}

func (r round) deleteAll() {
	for names := range slices.Chunk(r.listed(""), 1000) {
		batch := []types.ObjectIdentifier{}
		for _, name := range names {
			batch = append(batch, types.ObjectIdentifier{Key: aws.String(name)})
		}
		done, err := r.s3.DeleteObjects(background, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: batch}})
		must(err)
		same(len(done.Deleted), len(names))
		same(len(done.Errors), 0)
	}
	_, err := r.s3.DeleteBucket(background, &s3.DeleteBucketInput{Bucket: bucket})
	must(err)
	same(r.hasBucket(), false)
}

// tell runs a step and prints how it ended; a step that failed ends the program.
func tell(name string, step func()) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("failed %s: %v\n", name, why)
			os.Exit(1)
		}
		fmt.Printf("ok %s\n", name)
	}()
	step()
}

// version is the one of the SDK's S3 client, from go.mod.
func version() string {
	built, _ := debug.ReadBuildInfo()
	for _, module := range built.Deps {
		if strings.HasSuffix(module.Path, "/service/s3") {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return ""
}

func main() {
	r := round{client(), read("small"), read("large"), strings.Split(strings.TrimSpace(string(read("keys"))), "\n")}
	fmt.Println("version", version())
	tell("make a bucket", r.makeBucket)
	tell("a small object", r.putSmall)
	tell("20 MiB in parts", r.putLarge)
	tell("20 MiB from a stream", r.putStream)
	tell("a range", r.getRange)
	tell("metadata", r.metadata)
	tell("keys", r.putKeys)
	tell("1,100 keys in pages", r.pages)
	tell("a copy", r.copies)
	tell("presigned URLs with curl", r.presigned)
	tell("a wrong secret", r.wrongSecret)
	tell("delete them all", r.deleteAll)
}
