#!/usr/bin/env bash
# The AWS CLI: folders up and down, a listing, sync, metadata, a link.
#
#     bash examples/aws_cli.sh
#
# POST3_ENDPOINT or AWS_ENDPOINT_URL names the server (http://127.0.0.1:9000). Without AWS_ACCESS_KEY_ID requests are not
# signed.
set -euo pipefail

export AWS_ENDPOINT_URL=${POST3_ENDPOINT:-${AWS_ENDPOINT_URL:-http://127.0.0.1:9000}}
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1}
bucket=example-$$-$RANDOM$RANDOM
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

aws() {
    if [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then command aws "$@"; else command aws --no-sign-request "$@"; fi
}
clean_up() {
    aws s3 rb --force "s3://$bucket" >/dev/null || true
    rm -r "$work"
}

aws s3 mb "s3://$bucket"
trap clean_up EXIT
cd "$work"

mkdir -p site/pictures
echo '<h1>Hello</h1>' >site/index.html
echo 'body { margin: 2em }' >site/style.css
head -c 20000000 /dev/urandom >site/pictures/large.bin # goes up in parts

aws s3 sync --no-progress site "s3://$bucket/site"
aws s3 ls --recursive --human-readable --summarize "s3://$bucket"

# Only what changed goes up the second time; what is gone here goes there.
echo '<h1>Hello again</h1>' >site/index.html
rm site/style.css
aws s3 sync --no-progress --delete site "s3://$bucket/site" | tee changes
[ "$(wc -l <changes)" -eq 2 ]

aws s3 sync --only-show-errors "s3://$bucket/site" back
diff -r site back

aws s3 cp --only-show-errors site/index.html "s3://$bucket/page" --metadata author=ada --cache-control no-cache
author=$(aws s3api head-object --bucket "$bucket" --key page --query Metadata.author --output text)
echo "the page's author: $author"
[ "$author" = ada ]

echo 'from a pipe' | aws s3 cp - "s3://$bucket/piped"
[ "$(aws s3 cp "s3://$bucket/piped" -)" = 'from a pipe' ]
