#!/usr/bin/env bash
# S3 by hand: curl alone puts, gets, lists and deletes, and signs with its own --aws-sigv4.
#
#     bash examples/curl.sh
#
# POST3_ENDPOINT or AWS_ENDPOINT_URL names the server (http://127.0.0.1:9000). Without AWS_ACCESS_KEY_ID requests are not
# signed.
set -euo pipefail

url=${POST3_ENDPOINT:-${AWS_ENDPOINT_URL:-http://127.0.0.1:9000}}/example-$$-$RANDOM$RANDOM
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"

# The key stands in a file that is ours alone: others see what a command is given. 7.88 and older need the header told.
(umask 077 && : >signing)
if [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then
    cat >signing <<END
aws-sigv4 = "aws:amz:us-east-1:s3"
user = "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
END
fi
s3() {
    curl --config "$work/signing" --silent --show-error --fail-with-body "$@"
}
clean_up() {
    for key in notes/hello.txt notes/upper.txt; do
        s3 -X DELETE "$url/$key" || true
    done
    s3 -X DELETE "$url" || true
    rm -r "$work"
}

s3 -X PUT "$url"
trap clean_up EXIT

echo 'Hello, world!' >hello.txt
s3 -T hello.txt -H 'Content-Type: text/plain' -H 'x-amz-meta-author: ada' "$url/notes/hello.txt"
s3 "$url/notes/hello.txt" | cmp - hello.txt
s3 --head "$url/notes/hello.txt" | tee head
grep -qi '^x-amz-meta-author: ada' head

[ "$(s3 --range 7-11 "$url/notes/hello.txt")" = world ]

# A copy that the server makes, and a listing.
source=/${url##*/}/notes/hello.txt
s3 -X PUT -H "x-amz-copy-source: $source" "$url/notes/upper.txt" >/dev/null
s3 "$url?list-type=2" | tee list
[ "$(grep -o '<Key>' list | wc -l)" -eq 2 ]

# Only where there is none: a second writer is refused.
status=$(s3 -T hello.txt -H 'If-None-Match: *' -o refused -w '%{http_code}' "$url/notes/hello.txt" 2>said || true)
echo "a second writer: $status $(grep -o '<Code>.*</Code>' refused)"
[ "$status" = 412 ]
