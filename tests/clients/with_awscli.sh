#!/usr/bin/env bash
# The round by the AWS CLI: `aws s3` where it can, `aws s3api` for the rest. PYTHON is the interpreter that has it.
set -euo pipefail

STEP=
step() {
    [ -z "$STEP" ] || echo "ok $STEP"
    STEP=$1
}
fail() {
    echo "failed $STEP: ${1:-line $LINENO}"
    exit 1
}
trap 'fail "line $LINENO: $(tail -n 1 "$WORK/said" 2>/dev/null)"' ERR
aws() {
    "$PYTHON" -m tests.clients.aws "$@" 2> >(tee "$WORK/said" >&2)
}
api() {
    local operation=$1
    shift
    aws s3api "$operation" --bucket "$BUCKET" "$@"
}
same() {
    [ "$1" = "$2" ] || fail "got ${1:0:200}, not ${2:0:200}"
}
cd "$WORK"
small=$(cat small)
aws --version | sed -E 's,^aws-cli/([^ ]+).*,version \1,'

step "make a bucket"
aws s3 mb "s3://$BUCKET" >/dev/null
# grep -q would not read to the end, and break the pipe.
aws s3 ls | grep " $BUCKET$" >/dev/null

step "a small object"
aws s3 cp --only-show-errors small "s3://$BUCKET/small"
same "$(aws s3 cp "s3://$BUCKET/small" -)" "$small"

step "20 MiB in parts"
aws s3 cp --only-show-errors large "s3://$BUCKET/large"
[[ $(api head-object --key large --query ETag --output text) =~ ^\"[0-9a-f]{32}-[0-9]+\"$ ]] || fail "not in parts"
aws s3 cp --only-show-errors "s3://$BUCKET/large" back
cmp large back
api put-object --key at-once --body large >/dev/null
api get-object --key at-once back >/dev/null
cmp large back

step "20 MiB from a stream"
cat large | aws s3 cp --only-show-errors - "s3://$BUCKET/stream"
aws s3 cp "s3://$BUCKET/stream" - | cmp large -

step "a range"
same "$(api get-object --key large --range bytes=6000000-6000999 --query ContentRange --output text back)" \
    "bytes 6000000-6000999/$(wc -c <large | tr -d ' ')"
tail -c +6000001 large | head -c 1000 >wanted || true
cmp wanted back

step "metadata"
aws s3 cp --only-show-errors small "s3://$BUCKET/metadata" --content-type text/x-test \
    --metadata '{"plain": "one, two", "with-dash": "a=b; c"}'
same "$(api head-object --key metadata --query '[ContentType, Metadata.plain, Metadata."with-dash"]' --output text)" \
    $'text/x-test\tone, two\ta=b; c'

step "keys"
while IFS= read -r key; do
    printf %s "$key" >sent
    api put-object --key "keys/$key" --body sent >/dev/null
    api get-object --key "keys/$key" back >/dev/null
    cmp sent back
done <keys
same "$(api list-objects-v2 --prefix keys/ --query 'Contents[].[Key]' --output text | LC_ALL=C sort)" \
    "$(sed 's,^,keys/,' keys | LC_ALL=C sort)"

step "1,100 keys in pages"
mkdir -p many
for number in $(seq -w 0 1099); do
    : >"many/$number"
done
aws s3 cp --only-show-errors --recursive many "s3://$BUCKET/many"
same "$(aws s3 ls "s3://$BUCKET/many/" | awk '{print $4}')" "$(ls many)"

step "a copy"
for key in 'a+b' 'a b  c' 'ключ/é/日本/😀'; do
    aws s3 cp --only-show-errors "s3://$BUCKET/keys/$key" "s3://$BUCKET/copies/$key"
    same "$(aws s3 cp "s3://$BUCKET/copies/$key" -)" "$key"
done
aws s3 cp --only-show-errors "s3://$BUCKET/large" "s3://$BUCKET/copies/large"
aws s3 cp "s3://$BUCKET/copies/large" - | cmp large -

# The CLI presigns GET alone.
step "presigned URLs with curl"
aws s3 cp --only-show-errors small "s3://$BUCKET/presigned/a b+ü"
same "$(curl -sS --fail-with-body "$(aws s3 presign "s3://$BUCKET/presigned/a b+ü")")" "$small"

step "a wrong secret"
if AWS_SECRET_ACCESS_KEY=wrong aws s3 cp keys "s3://$BUCKET/small" 2>refused; then
    fail "it was let in"
fi
grep -q SignatureDoesNotMatch refused
same "$(aws s3 cp "s3://$BUCKET/small" -)" "$small"

step "delete them all"
api list-objects-v2 --max-items 1000 --query '{Objects: Contents[].{Key: Key}}' --output json >batch
same "$(api delete-objects --delete file://batch --query 'length(Deleted)' --output text)" 1000
aws s3 rm --only-show-errors --recursive "s3://$BUCKET"
aws s3 rb "s3://$BUCKET" >/dev/null
if aws s3 ls | grep " $BUCKET$" >/dev/null; then
    fail "the bucket is still there"
fi
step end
